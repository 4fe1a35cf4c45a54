"""Containment: what an order suspends, what its lifting restores, and what a probe hears (12.3)."""

import pytest

from common.contracts.events import identity
from common.ids import new_id
from tests.services.datashare.harness import CODE, ELSEWHERE, PURPOSE, problem


def knock(grant: str, order) -> dict:
    """What incident's prober sends."""
    return {"grant_id": grant, "purpose": PURPOSE, "case_number": f"PROBE-{order}", "fields": [], "limit": 1}


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("kind", ["grant", "system", "unit"])
async def test_an_order_suspends_the_grants_in_scope_and_says_so(world, kind):
    grant = await world.all_ready()
    order = await world.order(kind, {"grant": grant, "system": world.system.id, "unit": world.unit}[kind])
    (said,) = await world.told("containment.applied")
    assert (said["order_id"], said["grants"]) == (str(order), [grant])
    refused = await world.query(3)
    assert (problem(refused), refused.json()["cause"]) == ("grant-suspended", f"order:{order}")
    assert refused.json()["clause"] == "12.3"
    await world.lift(order)
    (lifted,) = await world.told("containment-lift.applied")
    assert (lifted["order_id"], lifted["grants"]) == (str(order), [grant])
    assert (await world.query(3)).status_code == 200


@pytest.mark.parametrize("kind", ["grant", "system", "unit", "account"])
async def test_an_order_that_concerns_no_grant_is_answered_too(world, kind):
    order = await world.order(kind, new_id())
    (said,) = await world.told("containment.applied")
    assert (said["order_id"], said["grants"]) == (str(order), [])


@pytest.mark.clause("12.3")
async def test_lifting_one_order_leaves_what_another_suspended(world):
    grant = await world.all_ready()
    first, second = await world.order("grant", grant), await world.order("unit", world.unit)
    await world.lift(first)
    assert (await world.told("containment-lift.applied"))[0]["grants"] == []
    refused = await world.query(3)
    assert refused.json()["cause"] == f"order:{second}"
    assert [said["remaining"] for said in await world.told("grant.suspension-lifted")] == [[f"order:{second}"]]
    assert await world.told("grant.reinstated") == []
    await world.lift(second)
    assert (await world.query(3)).status_code == 200


async def test_an_order_for_identity_is_none_of_ours(world):
    from common.contracts.events.incident import ContainmentOrdered

    await world.all_ready()
    await world.say(
        ContainmentOrdered(
            order_id=new_id(),
            incident_id=new_id(),
            executor="identity",
            measure="suspend-system",
            target_kind="system",
            target_id=world.system.id,
            ordered_at=world.clock.now(),
        )
    )
    assert await world.told("containment.applied") == []
    assert (await world.query(3)).status_code == 200


@pytest.mark.clause("12.3")
async def test_a_probe_is_refused_by_its_own_order_and_hears_of_all_false_links(world):
    """Even where the system is suspended too, which comes earlier in the chain."""
    grant = await world.all_ready()
    other, order = await world.order("unit", world.unit), await world.order("grant", grant)
    await world.say(
        identity.SystemSuspended(
            system_id=world.system.id, unit_id=world.unit, reason="contained", cause="order:elsewhere"
        )
    )
    answer = await world.probe(world.system, order).post("/queries", knock(grant, order), origin=ELSEWHERE)
    body = answer.json()
    assert (answer.status_code, problem(answer), body["cause"]) == (403, "grant-suspended", f"order:{order}")
    assert [(link["reason"], link["cause"]) for link in body["links"]] == [
        ("system-suspended", "order:elsewhere"),
        ("grant-suspended", f"order:{other}"),
        ("grant-suspended", f"order:{order}"),
    ]
    (said,) = await world.told("query.refused")
    assert said["probe"] == str(order)
    assert "links" not in (await world.query(3)).json(), "only a probe hears of all of them"


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("path", ["/queries", "/checks"])
async def test_an_allowed_probe_reads_and_counts_nothing(world, path):
    grant = await world.all_ready()
    order = await world.order("grant", grant)
    probe = world.probe(world.system, order)
    assert (await probe.post(path, knock(grant, order), origin=ELSEWHERE)).status_code == 403
    await world.lift(order)
    answer = await probe.post(path, knock(grant, order), origin=ELSEWHERE)
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "allowed"
    assert answer.json().get("records", []) == []
    assert await world.count("queries") == await world.count("usage") == 0


async def test_a_probe_with_a_subject_reads_nothing_either(world):
    grant = await world.all_ready()
    answer = await world.probe(world.clerk, new_id()).post("/queries", world.asked(3, grant_id=grant))
    assert (answer.status_code, answer.json()["records"]) == (200, [])
    assert await world.count("queries") == 0


async def test_a_probe_opens_no_other_door(world):
    grant = await world.all_ready()
    probe = world.probe(world.clerk, new_id())
    for method, path in (
        ("GET", "/grants"),
        ("GET", f"/grants/{grant}"),
        ("GET", f"/resources/{CODE}"),
        ("GET", "/applications"),
        ("POST", f"/grants/{grant}/revoke"),
    ):
        assert (
            problem(await probe.send(method, path, {"reason": "xx"} if method == "POST" else None)) == "probe-refused"
        )


async def test_an_order_that_comes_twice_is_carried_out_once(world):
    grant = await world.all_ready()
    from common.contracts.events.incident import ContainmentOrdered

    order = ContainmentOrdered(
        order_id=new_id(),
        incident_id=new_id(),
        executor="datashare",
        measure="suspend-grants",
        target_kind="grant",
        target_id=grant,
        ordered_at=world.clock.now(),
    )
    message = world.message(order)
    await world.bus.publish([message, message])
    await world.say(order)
    assert len(await world.told("containment.applied")) == 1
    assert await world.count("suspensions") == 1
