"""Facts are appended, and the report to the authority has a term that nothing moves."""

from datetime import timedelta

import asyncpg
import pytest

from common.clock import ManualClock
from common.enforcement.revocation_feed import PolicyVersion


@pytest.fixture
async def dated(make_harness):
    return await make_harness(ManualClock())


async def reported(harness, **more):
    unit = await harness.agency()
    person = harness.person(unit)
    body = harness.report_body(systems=[await harness.system(unit)]) | more
    answer = await person.post("/breaches?wait_ms=0", body)
    assert answer.status_code == 201, answer.text
    return person, answer.json()


@pytest.mark.clause("12.5")
async def test_a_report_in_time_meets_the_duty(dated):
    person, file = await reported(dated)
    (duty,) = file["obligations"]
    assert (duty["clause"], duty["policy"], duty["policy_version"]) == ("12.5", "breach-report-term", 0)
    dated.clock.advance(timedelta(seconds=3599))
    answer = await person.post(f"/breaches/{file['id']}/report-to-authority", {"content": "已暂停接入系统并封存日志"})
    assert answer.status_code == 201
    (duty,) = answer.json()["obligations"]
    assert (duty["overdue"], duty["late_seconds"]) == (False, 0)
    (event,) = await dated.wait_for_events("breach.reported-to-authority")
    assert event["due_at"] == file["obligations"][0]["due_at"]


@pytest.mark.clause("12.5")
async def test_a_late_report_stays_late_and_a_second_one_moves_nothing(dated):
    person, file = await reported(dated)
    dated.clock.advance(timedelta(seconds=3600 + 90))
    (line,) = (await person.get("/breaches")).json()["items"]
    assert (line["report_overdue"], line["report_late_seconds"]) == (True, 90)
    for _ in range(2):
        await person.post(f"/breaches/{file['id']}/report-to-authority", {"content": "迟报：已处置"})
        dated.clock.advance(timedelta(hours=1))
    now = await dated.file(person, file["id"])
    (duty,) = now["obligations"]
    assert (duty["due_at"], duty["late_seconds"], duty["overdue"]) == (
        file["obligations"][0]["due_at"],
        90,
        False,
    )
    assert len(now["reports"]) == 2


@pytest.mark.clause("15.1")
async def test_a_rule_changed_later_does_not_touch_an_older_case(dated):
    _, old = await reported(dated)
    dated.clock.advance(timedelta(seconds=10))
    await dated.feed(
        PolicyVersion(
            name="breach-report-term", version=1, value=600, effective_from=dated.clock.now(), basis="市发改委通知"
        )
    )
    await dated.runtime.point.until(
        lambda: dated.runtime.policies.at("breach-report-term", dated.clock.now()).version == 1, 5
    )
    _, new = await reported(dated)
    again = await dated.file(dated.center(), old["id"])
    assert again["obligations"] == old["obligations"]
    assert (new["obligations"][0]["policy_version"], new["obligations"][0]["basis"]) == (1, "市发改委通知")


async def test_the_authority_cannot_report_to_itself(dated):
    _, file = await reported(dated)
    answer = await dated.authority().post(f"/breaches/{file['id']}/report-to-authority", {"content": "主管部门代报"})
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:xindun:problem:authority-receives-reports")


@pytest.mark.clause("12.4")
async def test_a_corrected_fact_supersedes_and_stays(dated):
    person, file = await reported(dated)
    facts = {fact["kind"]: fact for fact in file["facts"]}
    assert set(facts) == {"occurred", "detected", "aware", "reported"}
    assert facts["occurred"]["at"] is None
    path = f"/incident/breaches/{file['id']}/facts"
    when = (dated.clock.now() - timedelta(hours=2)).isoformat()
    body = {"kind": "occurred", "at": when, "reason": "日志显示首次导出时间"}
    answer = await person.post(path, body)
    assert answer.status_code == 201, answer.text
    occurred = [fact for fact in answer.json()["facts"] if fact["kind"] == "occurred"]
    assert [(fact["superseded"], fact["supersedes"]) for fact in occurred] == [
        (True, None),
        (False, facts["occurred"]["id"]),
    ]
    future = body | {"at": (dated.clock.now() + timedelta(hours=1)).isoformat()}
    assert (await person.post(path, future)).status_code == 422
    assert (await person.post(path, body | {"kind": "reported"})).status_code == 422
    other = dated.person(await dated.agency())
    assert (await other.post(path, body)).status_code == 404


@pytest.mark.clause("12.4")
async def test_the_serving_role_can_neither_change_nor_delete_what_was_recorded(dated):
    await reported(dated)
    dsn = dated.database.app.replace("postgresql+asyncpg://", "postgresql://")
    connection = await asyncpg.connect(dsn)
    try:
        for statement in (
            "UPDATE incident_facts SET at = now()",
            "DELETE FROM incident_facts",
            "UPDATE obligations SET due_at = now()",
            "UPDATE incidents SET description = ''",
            "DELETE FROM containment_orders",
            "UPDATE containment_orders SET ordered_at = now()",
            "UPDATE containment_steps SET at = now()",
            "UPDATE probes SET passed = true",
            "UPDATE lift_proposals SET proposed_by = id",
            "DELETE FROM authority_reports",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
