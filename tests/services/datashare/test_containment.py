"""Containment: what an order suspends, what its lifting restores, and the links that a probe gets (12.3)."""

import pytest

from common.contracts.events import identity
from common.ids import new_id
from tests.harness.client import slug
from tests.services.datashare.harness import CODE, ELSEWHERE, PURPOSE


def probe_query(grant: str, order) -> dict:
    """What incident's prober sends."""
    return {"grant_id": grant, "purpose": PURPOSE, "case_number": f"PROBE-{order}", "fields": [], "limit": 1}


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("kind", ["grant", "system", "unit"])
async def test_an_order_suspends_the_grants_in_scope_and_says_so(harness, kind):
    grant = await harness.all_ready()
    order = await harness.order(kind, {"grant": grant, "system": harness.system.id, "unit": harness.unit}[kind])
    (said,) = await harness.events("containment.applied")
    assert (said["order_id"], said["grants"]) == (str(order), [grant])
    refused = await harness.query(3)
    assert (slug(refused), refused.json()["cause"]) == ("grant-suspended", f"order:{order}")
    assert refused.json()["clause"] == "12.3"
    await harness.lift(order)
    (lifted,) = await harness.events("containment-lift.applied")
    assert (lifted["order_id"], lifted["grants"]) == (str(order), [grant])
    assert (await harness.query(3)).status_code == 200


@pytest.mark.parametrize("kind", ["grant", "system", "unit", "account"])
async def test_an_order_that_concerns_no_grant_is_answered_too(harness, kind):
    order = await harness.order(kind, new_id())
    (said,) = await harness.events("containment.applied")
    assert (said["order_id"], said["grants"]) == (str(order), [])


@pytest.mark.clause("12.3")
async def test_lifting_one_order_leaves_what_another_suspended(harness):
    grant = await harness.all_ready()
    first, second = await harness.order("grant", grant), await harness.order("unit", harness.unit)
    await harness.lift(first)
    assert (await harness.events("containment-lift.applied"))[0]["grants"] == []
    refused = await harness.query(3)
    assert refused.json()["cause"] == f"order:{second}"
    assert [said["remaining"] for said in await harness.events("grant.suspension-lifted")] == [[f"order:{second}"]]
    assert await harness.events("grant.reinstated") == []
    await harness.lift(second)
    assert (await harness.query(3)).status_code == 200


async def test_an_order_for_identity_is_none_of_ours(harness):
    from common.contracts.events.incident import ContainmentOrdered

    await harness.all_ready()
    await harness.publish(
        ContainmentOrdered(
            order_id=new_id(),
            incident_id=new_id(),
            executor="identity",
            measure="suspend-system",
            target_kind="system",
            target_id=harness.system.id,
            ordered_at=harness.clock.now(),
        )
    )
    assert await harness.events("containment.applied") == []
    assert (await harness.query(3)).status_code == 200


@pytest.mark.clause("12.3")
async def test_a_probe_is_refused_by_its_own_order_and_gets_all_false_links(harness):
    """Even where the system is suspended too, which comes earlier in the chain."""
    grant = await harness.all_ready()
    other, order = await harness.order("unit", harness.unit), await harness.order("grant", grant)
    await harness.publish(
        identity.SystemSuspended(
            system_id=harness.system.id, unit_id=harness.unit, reason="contained", cause="order:elsewhere"
        )
    )
    answer = await harness.probe(harness.system, order).post("/queries", probe_query(grant, order), address=ELSEWHERE)
    body = answer.json()
    assert (answer.status_code, slug(answer), body["cause"]) == (403, "grant-suspended", f"order:{order}")
    assert [(link["reason"], link["cause"]) for link in body["links"]] == [
        ("system-suspended", "order:elsewhere"),
        ("grant-suspended", f"order:{other}"),
        ("grant-suspended", f"order:{order}"),
    ]
    (said,) = await harness.events("query.refused")
    assert said["probe"] == str(order)
    assert "links" not in (await harness.query(3)).json(), "only a probe gets all of them"


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("path", ["/queries", "/checks"])
async def test_an_allowed_probe_reads_and_counts_nothing(harness, path):
    grant = await harness.all_ready()
    order = await harness.order("grant", grant)
    probe = harness.probe(harness.system, order)
    assert (await probe.post(path, probe_query(grant, order), address=ELSEWHERE)).status_code == 403
    await harness.lift(order)
    answer = await probe.post(path, probe_query(grant, order), address=ELSEWHERE)
    assert answer.status_code == 200
    assert answer.json()["verdict"] == "allowed"
    assert answer.json().get("records", []) == []
    assert await harness.count("queries") == await harness.count("usage") == 0


async def test_a_probe_with_a_subject_reads_nothing_either(harness):
    grant = await harness.all_ready()
    answer = await harness.probe(harness.clerk, new_id()).post("/queries", harness.asked(3, grant_id=grant))
    assert (answer.status_code, answer.json()["records"]) == (200, [])
    assert await harness.count("queries") == 0


async def test_a_probe_credential_serves_no_other_endpoint(harness):
    grant = await harness.all_ready()
    probe = harness.probe(harness.clerk, new_id())
    for method, path in (
        ("GET", "/grants"),
        ("GET", f"/grants/{grant}"),
        ("GET", f"/resources/{CODE}"),
        ("GET", "/applications"),
        ("POST", f"/grants/{grant}/revoke"),
    ):
        assert slug(await probe.send(method, path, {"reason": "xx"} if method == "POST" else None)) == "probe-refused"


async def test_an_order_that_comes_twice_is_carried_out_once(harness):
    grant = await harness.all_ready()
    from common.contracts.events.incident import ContainmentOrdered

    order = ContainmentOrdered(
        order_id=new_id(),
        incident_id=new_id(),
        executor="datashare",
        measure="suspend-grants",
        target_kind="grant",
        target_id=grant,
        ordered_at=harness.clock.now(),
    )
    message = harness.message(order)
    await harness.bus.publish([message, message])
    await harness.publish(order)
    assert len(await harness.events("containment.applied")) == 1
    assert await harness.count("suspensions") == 1
