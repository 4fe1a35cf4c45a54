"""The verdict, link by link: each alone refuses for its own reason, the first false one is named, and narrowing never opens.

The links are made false inside a transaction that is rolled back, so that one scenario serves all of them.
"""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from common.clock import CITY
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from common.storage.database import driver_connection
from datashare.data_queries.authorization import LINK_PROBLEMS, AuthorizationRequest
from datashare.data_queries.authorization import get_verdict as verdict_on
from datashare.data_queries.authorization import list_verdicts as verdicts_on
from tests.harness.identifiers import company_code
from tests.services.datashare.harness import CODE, OFFICE, PURPOSE, DatashareHarness, mark

SUSPEND = """INSERT INTO suspensions (id, grant_id, cause, reason, suspended_by, suspended_at)
    SELECT gen_random_uuid(), id, 'order:x', 'r', 'x', now() FROM grants"""
USED = "INSERT INTO usage (grant_id, day, calls, rows, subjects) SELECT id, :day, {} FROM grants"

BREAKS: dict[str, str] = {
    "unit_standing": "UPDATE units SET suspended_for = '{case:1}'",
    "account_active": "UPDATE accounts SET suspended_for = '{departure:1}'",
    "system_active": "UPDATE systems SET suspended_for = '{order:2}'",
    "training_current": "UPDATE accounts SET trained_until = '2000-01-01'",
    "undertaking_signed": "UPDATE accounts SET undertaking_signed = false",
    "post_held": "UPDATE appointments SET ended = true",
    "opening_set": "UPDATE openings SET withdrawn = true",
    "rules_current": "UPDATE data_rules SET filed_at = '2000-01-01', valid_until = '2000-01-02'",
    "agreement_in_force": "UPDATE agreements SET state = 'half-signed', in_force_at = NULL",
    "grant_not_revoked": "UPDATE grants SET revoked_at = now(), revoked_by = 'x', revoked_for = 'y'",
    "system_granted": "UPDATE grants SET systems = '{}'",
    "grant_not_suspended": SUSPEND,
    "within_term": "UPDATE grants SET valid_from = '2000-01-01', valid_until = '2000-01-02'",
    "purpose_granted": "UPDATE grants SET purposes = '{other}'",
    "fields_granted": "UPDATE grants SET fields = '{kind}'",
    "origin_registered": "UPDATE grants SET origins = '{192.0.2.0/24}'",
    "calls_left": USED.format("100, 0, 0"),
    "rows_left": USED.format("0, 1000, 0"),
    "subjects_left": USED.format("0, 0, 50"),
}
"""One statement for each link but `grant_there`, which takes a grant that is not there."""

PERSONS_ONLY = {"account_active", "training_current", "undertaking_signed", "post_held"}
SYSTEMS_ONLY = {"system_active", "system_granted", "origin_registered"}

HARMLESS = {
    "other unit suspended": "UPDATE units SET suspended_for = '{x}' WHERE name = '市交通局'",
    "opening loses an unasked field": "UPDATE openings SET fields = array_remove(fields, 'kind')",
    "opening loses an unasked purpose": "UPDATE openings SET purposes = array_remove(purposes, 'licence-review')",
    "smaller network": "UPDATE grants SET origins = '{10.20.0.0/28}'",
    "shorter opening": "UPDATE openings SET longest_term_days = 1",
    "smaller quota": "UPDATE grants SET quota_calls = 1, quota_rows = 1, quota_subjects = 1",
    "a call was made": "INSERT INTO usage (grant_id, day, calls, rows, subjects) SELECT id, :day, 1, 1, 1 FROM grants"
    " ON CONFLICT (grant_id, day) DO UPDATE SET calls = usage.calls + 1",
}
"""Narrowing that alone leaves the chain whole."""

NARROWING = [*BREAKS.values(), *HARMLESS.values()]


@pytest.fixture(scope="module")
async def city(databases):
    """One life for all tests of this file, which leave nothing behind."""
    database = await databases.copy("datashare")
    async with DatashareHarness(database) as harness:
        harness.grant = await harness.all_ready()
        yield harness
    await databases.drop([database])


@pytest.fixture(scope="module")
async def engine(city):
    engine = create_async_engine(city.database.owner, pool_size=2)
    yield engine
    await engine.dispose()


@pytest.fixture(params=["system", "account"])
def question(request, city) -> AuthorizationRequest:
    return ask(city, request.param)


def ask(harness: DatashareHarness, kind: str) -> AuthorizationRequest:
    actor = harness.system if kind == "system" else harness.clerk
    now = harness.clock.now()
    return AuthorizationRequest(
        kind=kind,
        principal=actor.id,
        unit=harness.unit,
        unit_kind=UnitKind.AGENCY,
        resource=CODE,
        purpose=PURPOSE,
        fields=("uscc", "amount"),
        mark=mark(company_code(3)),
        origin=OFFICE,
        now=now,
        day=now.astimezone(CITY).date(),
    )


@asynccontextmanager
async def rolled_back(engine):
    async with engine.connect() as connection, connection.begin() as transaction:
        try:
            yield AsyncSession(connection)
        finally:
            await transaction.rollback()


async def verdict(session, question):
    return await verdict_on(await driver_connection(session), question)


async def verdicts(session, question, most):
    return await verdicts_on(await driver_connection(session), question, most)


async def narrow(session, statement, day):
    await session.execute(text(statement), {"day": day} if ":day" in statement else {})


def of_kind(kind: str) -> list[str]:
    return [link for link in LINK_PROBLEMS if link not in (SYSTEMS_ONLY if kind == "account" else PERSONS_ONLY)]


async def test_the_whole_chain_allows(engine, question):
    async with rolled_back(engine) as session:
        found = await verdict(session, question)
    assert found.allowed, found.denials
    assert found.denials == ()
    assert found.fields == ("uscc", "party", "penalty_date", "amount")


@pytest.mark.clause("10.4")
@pytest.mark.parametrize("link", list(BREAKS))
async def test_each_link_alone_refuses_for_its_own_reason(engine, question, link):
    async with rolled_back(engine) as session:
        await narrow(session, BREAKS[link], question.day)
        found = await verdict(session, question)
    if link in of_kind(question.kind):
        assert not found.allowed
        assert [denial.link for denial in found.denials] == [link]
        assert found.denials[0].clause
    else:
        assert found.allowed, f"{link} is no link of a {question.kind}"


@pytest.mark.clause("10.4")
async def test_a_grant_that_is_not_there_is_no_grant(engine, question):
    async with rolled_back(engine) as session:
        found = await verdict(session, replace(question, grant_id=new_id()))
        nameless = await verdict(session, replace(question, grant_id=new_id(), resource=None))
        foreign = await verdict(session, replace(question, unit=new_id(), grant_id=found.grant_id))
    assert [denial.link for denial in found.denials] == ["grant_there"]
    assert [denial.link for denial in nameless.denials] == ["grant_there"]
    assert not foreign.allowed


async def test_the_first_false_link_is_named(engine, question):
    links = [link for link in of_kind(question.kind) if link in BREAKS]
    for number in range(len(links)):
        await from_here_on_false(engine, question, links[number:])


async def from_here_on_false(engine, question, links):
    exclusive = (
        {"rows_left", "subjects_left"}
        if "calls_left" in links
        else {"subjects_left"}
        if "rows_left" in links
        else set()
    )
    async with rolled_back(engine) as session:
        for link in links:
            if link not in exclusive:
                await narrow(session, BREAKS[link], question.day)
        found = await verdict(session, question)
    assert found.denials[0].link == links[0]
    assert {denial.link for denial in found.denials} >= set(links) - exclusive - {"grant_there"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["system", "account"]), steps=st.lists(st.sampled_from(NARROWING), unique=True, max_size=6))
async def test_narrowing_never_turns_refused_into_allowed(city, engine, kind, steps):
    question = ask(city, kind)
    async with rolled_back(engine) as session:
        allowed = (await verdict(session, question)).allowed
        assert allowed
        for step in steps:
            if "INSERT INTO usage" in step and "ON CONFLICT" not in step:
                step += " ON CONFLICT (grant_id, day) DO UPDATE SET calls = usage.calls + excluded.calls,"
                step += " rows = usage.rows + excluded.rows, subjects = usage.subjects + excluded.subjects"
            await narrow(session, step, question.day)
            now = (await verdict(session, question)).allowed
            assert allowed or not now, f"{step} opened what was shut"
            allowed = now


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["system", "account"]), steps=st.lists(st.sampled_from(NARROWING), unique=True, max_size=3))
async def test_list_and_query_come_to_the_same_verdict(city, engine, kind, steps):
    question = ask(city, kind)
    about_all = replace(question, resource=None, purpose=None, fields=(), mark=None)
    async with rolled_back(engine) as session:
        for step in steps:
            if "INSERT INTO usage" in step and "ON CONFLICT" not in step:
                step += " ON CONFLICT DO NOTHING"
            await narrow(session, step, question.day)
        (listed,) = await verdicts(session, about_all, 10)
        asked = await verdict(session, replace(about_all, resource=CODE))
    assert (listed.allowed, listed.denials, listed.fields) == (asked.allowed, asked.denials, asked.fields)


@pytest.mark.parametrize("change", ["purpose", "fields", "origin", "unit_kind", "unit", "principal", "resource"])
async def test_what_is_asked_must_be_in_the_grant(engine, question, change):
    other = {
        "purpose": "marketing",
        "fields": ("facts",),
        "origin": "192.0.2.9",
        "unit_kind": "social-institution",
        "unit": new_id(),
        "principal": new_id(),
        "resource": "no-such-thing",
    }
    async with rolled_back(engine) as session:
        found = await verdict(session, replace(question, **{change: other[change]}))
    assert found.allowed is (change == "origin" and question.kind == "account")


@pytest.mark.parametrize("origin", [None, "::1", "10.20.1.7", "10.20.0.256", "2001:db8::1"])
async def test_an_address_that_is_not_registered_is_refused(city, engine, origin):
    from datashare.data_queries.service import normalize_origin

    async with rolled_back(engine) as session:
        found = await verdict(session, replace(ask(city, "system"), origin=normalize_origin(origin or "")))
    assert [denial.link for denial in found.denials] == ["origin_registered"]


async def test_an_ipv4_address_inside_ipv6_is_the_same_address(city, engine):
    from datashare.data_queries.service import normalize_origin

    async with rolled_back(engine) as session:
        found = await verdict(session, replace(ask(city, "system"), origin=normalize_origin(f"::ffff:{OFFICE}")))
    assert found.allowed


async def test_the_verdict_itself_changes_nothing(engine, question):
    async with engine.connect() as connection:
        await connection.execute(text("SET TRANSACTION READ ONLY"))
        assert (await verdict(AsyncSession(connection), question)).allowed
        await connection.rollback()
