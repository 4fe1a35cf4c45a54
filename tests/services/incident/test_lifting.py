"""Two people restore access, and a probe that now passes shows it."""

import asyncpg
import pytest

from common.ids import new_id


async def contained(world):
    unit = await world.agency()
    system = await world.system(unit)
    grant = await world.grant(unit, system)
    file = (await world.report(world.person(unit), systems=[system])).json()
    assert file["containment"]["state"] == "contained", file["containment"]
    return file, system, grant


@pytest.mark.clause("12.3")
async def test_two_people_lift_a_containment_and_probes_that_pass_show_it(world):
    file, _, grant = await contained(world)
    proposer, approver = world.center(), world.authority()

    answer = await world.lift(proposer, approver, file["id"])

    assert answer.status_code == 200, answer.text
    lifted = answer.json()
    assert lifted["containment"]["state"] == "reopened", lifted["orders"]
    assert lifted["containment"]["reopened"] == 2
    for order in lifted["orders"]:
        assert [step["state"] for step in order["timeline"]][-3:] == ["lifted", "restored", "reopened"]
        assert (order["probes"][-1]["expectation"], order["probes"][-1]["status"]) == ("allowed", 200)
        (event,) = await world.until_told("containment.lifted", order_id=order["id"])
        assert (event["proposed_by"], event["approved_by"]) == (str(proposer.id), str(approver.id))
        (told,) = await world.until_told("containment.probed", order_id=order["id"], expectation="allowed")
        assert told["passed"] is True
    assert world.suspensions[grant] == set()


@pytest.mark.clause("12.3")
async def test_who_proposed_cannot_approve(world):
    file, _, grant = await contained(world)
    person = world.center()
    refused = await world.lift(person, person, file["id"])
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:xindun:problem:lift-needs-another-person")
    assert world.suspensions[grant]
    assert (await world.file(person, file["id"]))["proposals"][0]["state"] == "open"


async def test_the_database_itself_refuses_one_person_in_both_roles(world):
    file, _, _ = await contained(world)
    person = world.center()
    proposed = await world.client.post(
        f"/incident/breaches/{file['id']}/lift-proposals", json={"reason": "已修复"}, headers=person.headers
    )
    assert proposed.status_code == 422  # three characters are no reason
    await world.client.post(
        f"/incident/breaches/{file['id']}/lift-proposals", json={"reason": "漏洞已修复"}, headers=person.headers
    )
    connection = await asyncpg.connect(world.database.admin_dsn)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="two_people"):
            await connection.execute(
                "UPDATE lift_proposals SET state = 'approved', decided_by = proposed_by, decided_at = now()"
            )
    finally:
        await connection.close()


async def test_a_withdrawn_proposal_lifts_nothing_and_only_its_proposer_withdraws(world):
    file, _, grant = await contained(world)
    proposer, other = world.center(), world.authority()
    proposal = (
        await world.client.post(
            f"/incident/breaches/{file['id']}/lift-proposals", json={"reason": "漏洞已修复"}, headers=proposer.headers
        )
    ).json()
    second = await world.client.post(
        f"/incident/breaches/{file['id']}/lift-proposals", json={"reason": "漏洞已修复"}, headers=other.headers
    )
    assert (second.status_code, second.json()["proposal"]) == (409, proposal["id"])
    path = f"/incident/lift-proposals/{proposal['id']}"
    assert (await world.client.post(f"{path}/withdraw", headers=other.headers)).status_code == 403
    assert (await world.client.post(f"{path}/withdraw", headers=proposer.headers)).json()["state"] == "withdrawn"
    late = await world.client.post(f"{path}/approve", headers=other.headers)
    assert (late.status_code, late.json()["type"]) == (409, "urn:xindun:problem:lift-proposal-decided")
    assert world.suspensions[grant]


async def test_an_approval_sent_twice_lifts_once(world):
    file, _, _ = await contained(world)
    proposal = (
        await world.client.post(
            f"/incident/breaches/{file['id']}/lift-proposals",
            json={"reason": "漏洞已修复"},
            headers=world.center().headers,
        )
    ).json()
    path = f"/incident/lift-proposals/{proposal['id']}/approve"
    approver = world.authority()
    headers = approver.headers | {"idempotency-key": "approve-it-once"}
    first, again = [await world.client.post(path, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert (await world.client.post(path, headers=approver.headers)).status_code == 409
    assert len(await world.until_told("containment.lifted", times=2)) == 2
    nothing = await world.client.post(
        f"/incident/breaches/{file['id']}/lift-proposals", json={"reason": "漏洞已修复"}, headers=approver.headers
    )
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:xindun:problem:nothing-to-lift")


async def test_lifting_one_breach_leaves_what_another_holds(world):
    file, system, grant = await contained(world)
    second = (await world.report(world.center(), systems=[system])).json()
    assert second["containment"]["state"] == "contained", second["containment"]
    lifted = (await world.lift(world.center(), world.authority(), file["id"])).json()
    (shut,) = [order for order in lifted["orders"] if order["executor"] == "datashare"]
    assert (shut["state"], shut["unprobed"]) == ("restored", "no-grant-became-active")
    assert lifted["containment"]["state"] == "restored"
    assert world.suspensions[grant]


async def test_what_is_not_there_cannot_be_lifted(world):
    person = world.center()
    for path in (f"/incident/breaches/{new_id()}/lift-proposals", f"/incident/lift-proposals/{new_id()}/approve"):
        answer = await world.client.post(path, json={"reason": "漏洞已修复"}, headers=person.headers)
        assert answer.status_code == 404
