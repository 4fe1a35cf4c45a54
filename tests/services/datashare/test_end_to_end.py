"""From a registered resource to queries and their refusals, as the actors live it."""

from datetime import timedelta

import pytest

from common.contracts.events import identity
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from tests.harness.client import slug
from tests.harness.identifiers import company_code
from tests.harness.service import Actor
from tests.services.datashare.harness import CODE, ELSEWHERE


@pytest.mark.clause("10.4")
async def test_a_system_gets_the_granted_fields_masked(harness):
    await harness.all_ready()
    answer = await harness.query(3)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    code = company_code(3)
    assert body["records"] == [
        {
            "uscc": code[:4] + "*" * 12 + code[-2:],
            "party": "某" + "*" * 5,
            "penalty_date": "2024-03-04",
            "amount": "0-10000",
        }
    ]
    assert body["next"] is None
    assert body["quota_left"] == {"calls": 99, "rows": 999, "subjects": 49}
    (said,) = await harness.events("data.queried")
    assert said["rows"] == 1
    assert said["query_id"] == body["query_id"]
    assert await harness.count("queries") == 1


@pytest.mark.clause("6.1")
@pytest.mark.clause("6.2")
async def test_a_person_is_refused_for_what_is_missing_until_nothing_is(harness):
    """Before anything is open, too: a caller who may not query gets the reason, and learns of no resource."""
    assert slug(await harness.query(3, harness.clerk)) == "training-missing"
    await harness.trained()
    assert slug(await harness.query(3, harness.clerk)) == "undertaking-missing"
    await harness.bound()
    assert slug(await harness.query(3, harness.clerk)) == "post-missing"
    appointment = await harness.appointed()
    unopened = await harness.query(3, harness.clerk)
    assert (unopened.status_code, slug(unopened)) == (404, "resource-not-open")
    await harness.all_ready()
    assert (await harness.query(3, harness.clerk, address=ELSEWHERE)).status_code == 200
    await harness.publish(
        identity.AppointmentEnded(
            appointment_id=appointment, account_id=harness.clerk.id, unit_id=harness.unit, reason="moved"
        )
    )
    assert (await harness.query(3, harness.clerk)).status_code == 200, "the other appointment is still there"
    harness.clock.advance(timedelta(days=301))
    refused = await harness.query(3, harness.clerk)
    assert (slug(refused), refused.json()["clause"]) == ("training-missing", "6.1")


@pytest.mark.clause("7.4")
@pytest.mark.parametrize(
    ("change", "origin", "expected"),
    [
        ({"purpose": "marketing"}, None, (403, "purpose-outside-grant", "10.4")),
        ({"purpose": "licence-review"}, None, (403, "purpose-outside-grant", "10.4")),
        ({"fields": ["uscc", "facts"]}, None, (403, "field-outside-grant", "10.4")),
        ({"fields": ["kind"]}, None, (403, "field-outside-grant", "10.4")),
        ({"fields": ["no_such_field"]}, None, (403, "field-outside-grant", "10.4")),
        ({"filters": [{"field": "kind", "value": "罚款"}]}, None, (403, "field-outside-grant", "10.4")),
        ({}, ELSEWHERE, (403, "origin-not-registered", "5d.3")),
        ({"grant_id": str(new_id())}, None, (403, "no-grant", "10.4")),
        ({"resource": "other-things"}, None, (404, "resource-not-open", "10.2")),
    ],
)
async def test_what_is_outside_the_grant_is_refused_and_recorded(harness, change, origin, expected):
    status, reason, clause = expected
    await harness.all_ready()
    answer = await harness.query(3, **change, **({"address": origin} if origin else {}))
    assert (answer.status_code, slug(answer)) == (status, reason)
    assert (answer.json()["reason"], answer.json()["clause"]) == (reason, clause)
    (said,) = await harness.events("query.refused")
    assert (said["reason"], said["clause"], said["principal"]) == (reason, clause, f"system:{harness.system.id}")
    assert await harness.count("queries") == 0
    checked = await harness.system.post(
        "/checks", harness.asked(3, **change), **({"address": origin} if origin else {})
    )
    assert (checked.status_code, slug(checked)) == (status, reason), "a check answers as the query does"


@pytest.mark.clause("10.4")
async def test_a_spent_quota_comes_back_with_the_city_s_next_day(harness):
    await harness.all_ready(quota={"calls": 2, "rows": 1000, "subjects": 50})
    assert [(await harness.query(3)).status_code for _ in range(3)] == [200, 200, 429]
    refused = await harness.query(3)
    assert (slug(refused), refused.json()["measure"]) == ("quota-exhausted", "calls")
    harness.clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))
    assert (await harness.query(3)).status_code == 200


@pytest.mark.clause("10.4")
async def test_a_subject_that_was_asked_for_counts_once_and_also_when_nothing_is_known_of_it(harness):
    await harness.all_ready(quota={"calls": 100, "rows": 1000, "subjects": 2})
    assert (await harness.query(3)).status_code == 200
    assert (await harness.query(3)).status_code == 200
    assert (await harness.query(999)).json()["records"] == []
    refused = await harness.query(4)
    assert (slug(refused), refused.json()["measure"]) == ("quota-exhausted", "subjects")
    assert (await harness.query(3)).status_code == 200, "a subject that has counted today may be asked for again"


@pytest.mark.clause("10.4")
async def test_a_term_that_has_passed_gives_nothing_with_no_job_having_run(harness):
    await harness.all_ready(term_days=30)
    harness.clock.advance(timedelta(days=30) - timedelta(seconds=1))
    assert (await harness.query(3)).status_code == 200
    harness.clock.advance(timedelta(seconds=1))
    assert slug(await harness.query(3)) == "grant-expired"
    assert (await harness.system.get("/grants?usable=true")).json()["items"] == []


@pytest.mark.clause("10.1")
async def test_rules_that_are_out_of_date_refuse_every_query(harness):
    await harness.all_ready(opening={"longest_term_days": 700}, term_days=700)
    harness.clock.advance(timedelta(days=366))
    assert slug(await harness.query(3)) == "data-rules-missing"


async def test_pages_lead_through_all_records_and_no_page_is_longer_than_the_policy(harness):
    await harness.all_ready(rows=250, opening={"quota": {"calls": 100, "rows": 1000, "subjects": 500}})
    many = {"subject": None, "filters": [{"field": "penalty_date", "op": "from", "value": "2024-01-01"}]}
    seen, cursor = [], None
    for _ in range(3):
        body = (await harness.query(**many, limit=1000, cursor=cursor)).json()
        seen.append(len(body["records"]))
        cursor = body["next"]
    assert (seen, cursor) == ([100, 100, 50], None)


async def test_a_query_needs_a_subject_or_a_filter(harness):
    await harness.all_ready()
    assert (await harness.query(subject=None)).status_code == 422
    assert (await harness.system.post("/checks", harness.asked(subject=None))).status_code == 200


async def test_a_masked_field_is_no_filter(harness):
    await harness.all_ready()
    answer = await harness.query(subject=None, filters=[{"field": "amount", "value": "3500"}])
    assert (answer.status_code, slug(answer)) == (422, "filter-on-masked-field")


async def test_a_name_finds_what_its_code_finds(harness):
    await harness.all_ready()
    by_name = await harness.query(subject={"name": "某某第3公司"})
    assert by_name.json()["records"] == (await harness.query(3)).json()["records"]
    assert by_name.json()["records"]
    assert (await harness.query(subject={"name": "某某"})).json()["records"] == []


@pytest.mark.clause("5d.3")
@pytest.mark.parametrize("end", ["suspended", "decommissioned"])
async def test_a_system_that_is_suspended_or_ended_gets_nothing(harness, end):
    await harness.all_ready()
    event = identity.SystemSuspended if end == "suspended" else identity.SystemDecommissioned
    await harness.publish(event(system_id=harness.system.id, unit_id=harness.unit, reason="test"))
    assert slug(await harness.query(3)) == "system-suspended"
    if end == "suspended":
        await harness.publish(identity.SystemReinstated(system_id=harness.system.id, unit_id=harness.unit))
        assert (await harness.query(3)).status_code == 200


async def test_another_system_of_the_unit_is_outside_the_grant(harness):
    await harness.all_ready()
    other = Actor(harness, "system", harness.unit, UnitKind.AGENCY, ["credit-data.query"])
    named = {"system_id": other.id, "unit_id": harness.unit, "name": "另一系统", "origins": ["10.20.0.0/24"]}
    assert slug(await harness.query(3, other)) == "system-suspended"
    await harness.publish(identity.SystemApproved(**named))
    assert slug(await harness.query(3, other)) == "system-outside-grant"
    assert (await other.get("/grants?usable=true")).json()["items"] == []


async def test_a_foreign_unit_neither_uses_nor_sees_a_grant(harness):
    grant = await harness.all_ready()
    assert (await harness.stranger.get(f"/grants/{grant}")).status_code == 404
    assert (await harness.stranger.get("/grants")).json()["items"] == []
    assert (await harness.authority.get(f"/grants/{grant}")).status_code == 200
    assert [g["id"] for g in (await harness.system.get("/grants?usable=true")).json()["items"]] == [grant]
    assert [g["id"] for g in (await harness.clerk.get("/grants?usable=true")).json()["items"]] == [grant]
    assert (await harness.admin.get("/grants?usable=true")).json()["items"] == [], "an administrator has no such post"
    assert (await harness.center.post("/queries", harness.asked(3))).status_code in (403, 404)


async def test_a_check_counts_and_records_nothing(harness):
    grant = await harness.all_ready()
    answer = await harness.system.post("/checks", harness.asked(3))
    assert answer.status_code == 200
    assert answer.json()["grant_id"] == grant
    assert answer.json()["quota_left"] == {"calls": 100, "rows": 1000, "subjects": 50}
    assert await harness.count("queries") == await harness.count("usage") == 0
    assert await harness.events("data.queried") == []


async def test_a_query_s_answer_is_not_kept_for_a_repeated_key(harness):
    grant = await harness.all_ready()
    assert (await harness.system.post("/queries", harness.asked(3), idempotency_key="k" * 12)).status_code == 200
    await harness.authority.post(f"/grants/{grant}/revoke", {"reason": "终止"})
    again = await harness.system.post("/queries", harness.asked(3), idempotency_key="k" * 12)
    assert slug(again) == "grant-revoked"
    assert await harness.count("idempotency") == 0


async def test_refusals_speak_both_languages(harness):
    await harness.all_ready()
    for language, title in (("zh", "查询目的不在授权范围内"), ("en", "The purpose is not in the grant")):
        answer = await harness.system.post("/queries", harness.asked(3, purpose="marketing"), accept_language=language)
        assert answer.json()["title"] == title


async def test_events_carry_no_content(harness):
    await harness.all_ready()
    await harness.query(3)
    async with harness.runtime.database.transaction() as session:
        from sqlalchemy import text

        bodies = await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM outbox"))
        assert not any(company_code(3) in body or "某某第3公司" in body for body in bodies)
    assert CODE
