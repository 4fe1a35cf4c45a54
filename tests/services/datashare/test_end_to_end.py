"""From a registered resource to queries and their refusals, as the actors live it."""

from datetime import timedelta

import pytest

from common.contracts.events import identity
from common.contracts.permissions import UnitKind
from common.ids import new_id
from tests.services.datashare.harness import CODE, ELSEWHERE, Actor, problem, subject


@pytest.mark.clause("10.4")
async def test_a_system_gets_the_granted_fields_masked(world):
    await world.all_ready()
    answer = await world.query(3)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    code = subject(3)
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
    (said,) = await world.told("data.queried")
    assert said["rows"] == 1
    assert said["query_id"] == body["query_id"]
    assert await world.count("queries") == 1


@pytest.mark.clause("6.1")
@pytest.mark.clause("6.2")
async def test_a_person_is_refused_for_what_is_missing_until_nothing_is(world):
    """Before anything is open, too: who may not query at all hears why, and nothing of what there is."""
    assert problem(await world.query(3, world.clerk)) == "training-missing"
    await world.trained()
    assert problem(await world.query(3, world.clerk)) == "undertaking-missing"
    await world.bound()
    assert problem(await world.query(3, world.clerk)) == "post-missing"
    appointment = await world.appointed()
    unopened = await world.query(3, world.clerk)
    assert (unopened.status_code, problem(unopened)) == (404, "resource-not-open")
    await world.all_ready()
    assert (await world.query(3, world.clerk, origin=ELSEWHERE)).status_code == 200
    await world.say(
        identity.AppointmentEnded(
            appointment_id=appointment, account_id=world.clerk.id, unit_id=world.unit, reason="moved"
        )
    )
    assert (await world.query(3, world.clerk)).status_code == 200, "the other appointment is still there"
    world.clock.advance(timedelta(days=301))
    refused = await world.query(3, world.clerk)
    assert (problem(refused), refused.json()["clause"]) == ("training-missing", "6.1")


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
async def test_what_is_outside_the_grant_is_refused_and_recorded(world, change, origin, expected):
    status, reason, clause = expected
    await world.all_ready()
    answer = await world.query(3, **change, **({"origin": origin} if origin else {}))
    assert (answer.status_code, problem(answer)) == (status, reason)
    assert (answer.json()["reason"], answer.json()["clause"]) == (reason, clause)
    (said,) = await world.told("query.refused")
    assert (said["reason"], said["clause"], said["principal"]) == (reason, clause, f"system:{world.system.id}")
    assert await world.count("queries") == 0
    checked = await world.system.post("/checks", world.asked(3, **change), **({"origin": origin} if origin else {}))
    assert (checked.status_code, problem(checked)) == (status, reason), "a check answers as the query does"


@pytest.mark.clause("10.4")
async def test_a_spent_quota_comes_back_with_the_city_s_next_day(world):
    await world.all_ready(quota={"calls": 2, "rows": 1000, "subjects": 50})
    assert [(await world.query(3)).status_code for _ in range(3)] == [200, 200, 429]
    refused = await world.query(3)
    assert (problem(refused), refused.json()["measure"]) == ("quota-exhausted", "calls")
    world.clock.advance(timedelta(seconds=int(refused.headers["retry-after"])))
    assert (await world.query(3)).status_code == 200


@pytest.mark.clause("10.4")
async def test_a_subject_that_was_asked_for_counts_once_and_also_when_nothing_is_known_of_it(world):
    await world.all_ready(quota={"calls": 100, "rows": 1000, "subjects": 2})
    assert (await world.query(3)).status_code == 200
    assert (await world.query(3)).status_code == 200
    assert (await world.query(999)).json()["records"] == []
    refused = await world.query(4)
    assert (problem(refused), refused.json()["measure"]) == ("quota-exhausted", "subjects")
    assert (await world.query(3)).status_code == 200, "a subject that has counted today may be asked for again"


@pytest.mark.clause("10.4")
async def test_a_term_that_has_passed_gives_nothing_with_no_job_having_run(world):
    await world.all_ready(term_days=30)
    world.clock.advance(timedelta(days=30) - timedelta(seconds=1))
    assert (await world.query(3)).status_code == 200
    world.clock.advance(timedelta(seconds=1))
    assert problem(await world.query(3)) == "grant-expired"
    assert (await world.system.get("/grants?usable=true")).json()["items"] == []


@pytest.mark.clause("10.1")
async def test_rules_that_are_out_of_date_refuse_every_query(world):
    await world.all_ready(opening={"longest_term_days": 700}, term_days=700)
    world.clock.advance(timedelta(days=366))
    assert problem(await world.query(3)) == "data-rules-missing"


async def test_pages_lead_through_all_records_and_no_page_is_longer_than_the_policy(world):
    await world.all_ready(rows=250, opening={"quota": {"calls": 100, "rows": 1000, "subjects": 500}})
    many = {"subject": None, "filters": [{"field": "penalty_date", "op": "from", "value": "2024-01-01"}]}
    seen, cursor = [], None
    for _ in range(3):
        body = (await world.query(**many, limit=1000, cursor=cursor)).json()
        seen.append(len(body["records"]))
        cursor = body["next"]
    assert (seen, cursor) == ([100, 100, 50], None)


async def test_a_query_needs_a_subject_or_a_filter(world):
    await world.all_ready()
    assert (await world.query(subject=None)).status_code == 422
    assert (await world.system.post("/checks", world.asked(subject=None))).status_code == 200


async def test_a_masked_field_is_no_filter(world):
    await world.all_ready()
    answer = await world.query(subject=None, filters=[{"field": "amount", "value": "3500"}])
    assert (answer.status_code, problem(answer)) == (422, "filter-on-masked-field")


async def test_a_name_finds_what_its_code_finds(world):
    await world.all_ready()
    by_name = await world.query(subject={"name": "某某第3公司"})
    assert by_name.json()["records"] == (await world.query(3)).json()["records"]
    assert by_name.json()["records"]
    assert (await world.query(subject={"name": "某某"})).json()["records"] == []


@pytest.mark.clause("5d.3")
@pytest.mark.parametrize("end", ["suspended", "decommissioned"])
async def test_a_system_that_is_suspended_or_ended_gets_nothing(world, end):
    await world.all_ready()
    event = identity.SystemSuspended if end == "suspended" else identity.SystemDecommissioned
    await world.say(event(system_id=world.system.id, unit_id=world.unit, reason="test"))
    assert problem(await world.query(3)) == "system-suspended"
    if end == "suspended":
        await world.say(identity.SystemReinstated(system_id=world.system.id, unit_id=world.unit))
        assert (await world.query(3)).status_code == 200


async def test_another_system_of_the_unit_is_outside_the_grant(world):
    await world.all_ready()
    other = Actor(world, "system", world.unit, UnitKind.AGENCY, ["credit-data.query"])
    named = {"system_id": other.id, "unit_id": world.unit, "name": "另一系统", "origins": ["10.20.0.0/24"]}
    assert problem(await world.query(3, other)) == "system-suspended"
    await world.say(identity.SystemApproved(**named))
    assert problem(await world.query(3, other)) == "system-outside-grant"
    assert (await other.get("/grants?usable=true")).json()["items"] == []


async def test_a_foreign_unit_neither_uses_nor_sees_a_grant(world):
    grant = await world.all_ready()
    assert (await world.stranger.get(f"/grants/{grant}")).status_code == 404
    assert (await world.stranger.get("/grants")).json()["items"] == []
    assert (await world.authority.get(f"/grants/{grant}")).status_code == 200
    assert [g["id"] for g in (await world.system.get("/grants?usable=true")).json()["items"]] == [grant]
    assert [g["id"] for g in (await world.clerk.get("/grants?usable=true")).json()["items"]] == [grant]
    assert (await world.admin.get("/grants?usable=true")).json()["items"] == [], "an administrator has no such post"
    assert (await world.center.post("/queries", world.asked(3))).status_code in (403, 404)


async def test_a_check_counts_and_records_nothing(world):
    grant = await world.all_ready()
    answer = await world.system.post("/checks", world.asked(3))
    assert answer.status_code == 200
    assert answer.json()["grant_id"] == grant
    assert answer.json()["quota_left"] == {"calls": 100, "rows": 1000, "subjects": 50}
    assert await world.count("queries") == await world.count("usage") == 0
    assert await world.told("data.queried") == []


async def test_a_query_s_answer_is_not_kept_for_a_repeated_key(world):
    grant = await world.all_ready()
    assert (await world.system.post("/queries", world.asked(3), idempotency_key="k" * 12)).status_code == 200
    await world.authority.post(f"/grants/{grant}/revoke", {"reason": "终止"})
    again = await world.system.post("/queries", world.asked(3), idempotency_key="k" * 12)
    assert problem(again) == "grant-revoked"
    assert await world.count("idempotency") == 0


async def test_refusals_speak_both_languages(world):
    await world.all_ready()
    for language, title in (("zh", "查询目的不在授权范围内"), ("en", "The purpose is not in the grant")):
        answer = await world.system.post("/queries", world.asked(3, purpose="marketing"), accept_language=language)
        assert answer.json()["title"] == title


async def test_events_carry_no_content(world):
    await world.all_ready()
    await world.query(3)
    async with world.runtime.database.transaction() as session:
        from sqlalchemy import text

        bodies = await session.scalars(text("SELECT convert_from(body, 'UTF8') FROM outbox"))
        assert not any(subject(3) in body or "某某第3公司" in body for body in bodies)
    assert CODE
