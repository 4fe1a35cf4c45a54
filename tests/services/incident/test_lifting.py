"""Two people restore access, and a probe that now passes shows it."""

import asyncpg
import pytest

from common.ids import new_id


async def contained(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    grant = await harness.grant(unit, system)
    file = (await harness.report(harness.person(unit), systems=[system])).json()
    assert file["containment"]["state"] == "contained", file["containment"]
    return file, system, grant


@pytest.mark.clause("12.3")
async def test_two_people_lift_a_containment_and_probes_that_pass_show_it(harness):
    file, _, grant = await contained(harness)
    proposer, approver = harness.center(), harness.authority()

    answer = await harness.lift(proposer, approver, file["id"])

    assert answer.status_code == 200, answer.text
    lifted = answer.json()
    assert lifted["containment"]["state"] == "reopened", lifted["orders"]
    assert lifted["containment"]["reopened"] == 2
    for order in lifted["orders"]:
        assert [step["state"] for step in order["timeline"]][-3:] == ["lifted", "restored", "reopened"]
        assert (order["probes"][-1]["expectation"], order["probes"][-1]["status"]) == ("allowed", 200)
        (event,) = await harness.wait_for_events("containment.lifted", order_id=order["id"])
        assert (event["proposed_by"], event["approved_by"]) == (str(proposer.id), str(approver.id))
        (probed,) = await harness.wait_for_events("containment.probed", order_id=order["id"], expectation="allowed")
        assert probed["passed"] is True
    assert harness.suspensions[grant] == set()


@pytest.mark.clause("12.3")
async def test_who_proposed_cannot_approve(harness):
    file, _, grant = await contained(harness)
    person = harness.center()
    refused = await harness.lift(person, person, file["id"])
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:xindun:problem:lift-needs-another-person")
    assert harness.suspensions[grant]
    assert (await harness.file(person, file["id"]))["proposals"][0]["state"] == "open"


async def test_the_database_itself_refuses_one_person_in_both_roles(harness):
    file, _, _ = await contained(harness)
    person = harness.center()
    proposed = await person.post(f"/breaches/{file['id']}/lift-proposals", {"reason": "已修复"})
    assert proposed.status_code == 422  # three characters are no reason
    await person.post(f"/breaches/{file['id']}/lift-proposals", {"reason": "漏洞已修复"})
    connection = await asyncpg.connect(harness.database.admin_dsn)
    try:
        with pytest.raises(asyncpg.CheckViolationError, match="two_people"):
            await connection.execute(
                "UPDATE lift_proposals SET state = 'approved', decided_by = proposed_by, decided_at = now()"
            )
    finally:
        await connection.close()


async def test_a_withdrawn_proposal_lifts_nothing_and_only_its_proposer_withdraws(harness):
    file, _, grant = await contained(harness)
    proposer, other = harness.center(), harness.authority()
    proposal = (await proposer.post(f"/breaches/{file['id']}/lift-proposals", {"reason": "漏洞已修复"})).json()
    second = await other.post(f"/breaches/{file['id']}/lift-proposals", {"reason": "漏洞已修复"})
    assert (second.status_code, second.json()["proposal"]) == (409, proposal["id"])
    path = f"/incident/lift-proposals/{proposal['id']}"
    assert (await other.post(f"{path}/withdraw")).status_code == 403
    assert (await proposer.post(f"{path}/withdraw")).json()["state"] == "withdrawn"
    late = await other.post(f"{path}/approve")
    assert (late.status_code, late.json()["type"]) == (409, "urn:xindun:problem:lift-proposal-decided")
    assert harness.suspensions[grant]


async def test_an_approval_sent_twice_lifts_once(harness):
    file, _, _ = await contained(harness)
    proposal = (await harness.center().post(f"/breaches/{file['id']}/lift-proposals", {"reason": "漏洞已修复"})).json()
    path = f"/incident/lift-proposals/{proposal['id']}/approve"
    approver = harness.authority()
    headers = approver.headers | {"idempotency-key": "approve-it-once"}
    first, again = [await harness.client.post(path, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code) == (200, 200)
    assert (await approver.post(path)).status_code == 409
    assert len(await harness.wait_for_events("containment.lifted", times=2)) == 2
    nothing = await approver.post(f"/breaches/{file['id']}/lift-proposals", {"reason": "漏洞已修复"})
    assert (nothing.status_code, nothing.json()["type"]) == (409, "urn:xindun:problem:nothing-to-lift")


async def test_lifting_one_breach_leaves_what_another_holds(harness):
    file, system, grant = await contained(harness)
    second = (await harness.report(harness.center(), systems=[system])).json()
    assert second["containment"]["state"] == "contained", second["containment"]
    lifted = (await harness.lift(harness.center(), harness.authority(), file["id"])).json()
    (shut,) = [order for order in lifted["orders"] if order["executor"] == "datashare"]
    assert (shut["state"], shut["unprobed"]) == ("restored", "no-grant-became-active")
    assert lifted["containment"]["state"] == "restored"
    assert harness.suspensions[grant]


async def test_what_is_not_there_cannot_be_lifted(harness):
    person = harness.center()
    for path in (f"/incident/breaches/{new_id()}/lift-proposals", f"/incident/lift-proposals/{new_id()}/approve"):
        answer = await person.post(path, {"reason": "漏洞已修复"})
        assert answer.status_code == 404
