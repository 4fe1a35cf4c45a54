"""Two at once on real PostgreSQL with real commits: who comes later sees what the earlier one did, always."""

import asyncio
from collections import Counter

import asyncpg
import pytest
from sqlalchemy import text

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from datashare.data_queries import service
from datashare.data_queries.schemas import QueryRequest
from tests.harness.client import slug
from tests.services.datashare.harness import CODE, OFFICE, PURPOSE


async def gathered(*calls):
    return Counter(answer.status_code for answer in await asyncio.gather(*calls))


async def said_in_order(harness) -> list[str]:
    async with harness.runtime.database.transaction() as session:
        types = await session.scalars(
            text("SELECT convert_from(body, 'UTF8')::jsonb ->> 'type' FROM outbox ORDER BY id")
        )
        return [type_.removeprefix("cn.xindun.datashare.").removesuffix(".v1") for type_ in types]


@pytest.mark.clause("10.4")
async def test_of_many_queries_at_once_exactly_the_quota_succeeds(harness):
    await harness.all_ready(quota={"calls": 7, "rows": 1000, "subjects": 50})
    assert await gathered(*(harness.query(n % 20) for n in range(24))) == {200: 7, 429: 17}
    assert await harness.count("queries") == 7
    assert await harness.count("usage", "calls = 7 AND rows = 7") == 1
    assert len(await harness.events("quota.reached")) == 1
    assert len(await harness.events("query.refused")) == 17


async def test_of_many_subjects_at_once_exactly_the_quota_is_shown(harness):
    await harness.all_ready(quota={"calls": 100, "rows": 1000, "subjects": 4})
    assert await gathered(*(harness.query(n % 12) for n in range(24))) == {200: 8, 429: 16}
    assert await harness.count("usage_subjects") == 4


async def test_rows_run_out_exactly(harness):
    await harness.all_ready(quota={"calls": 100, "rows": 17, "subjects": 50})
    many = {"subject": None, "filters": [{"field": "penalty_date", "op": "from", "value": "2000-01-01"}], "limit": 5}
    answers = await asyncio.gather(*(harness.query(**many) for _ in range(6)))
    assert sum(len(a.json()["records"]) for a in answers if a.status_code == 200) == 17
    assert Counter(a.status_code for a in answers) == {200: 4, 429: 2}


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("ending", ["revoke", "suspend", "withdraw-opening", "contain", "narrow"])
async def test_no_query_succeeds_after_the_end_it_raced(harness, ending):
    grant = await harness.all_ready(opening={"quota": {"calls": 1000, "rows": 1000, "subjects": 50}})

    async def end():
        if ending == "revoke":
            return (await harness.authority.post(f"/grants/{grant}/revoke", {"reason": "终止"})).status_code
        if ending == "suspend":
            return (await harness.authority.post(f"/grants/{grant}/suspensions", {"reason": "核查"})).status_code
        if ending == "contain":
            await harness.order("system", harness.system.id)
            return 200
        if ending == "narrow":
            return (await harness.reopened(fields=["kind"])).status_code
        opening = await harness.authority.get(f"/resources/{CODE}/opening")
        return (
            await harness.authority.post(
                f"/resources/{CODE}/opening/withdraw", {"reason": "收回"}, if_match=opening.headers["etag"]
            )
        ).status_code

    async def queries(count):
        return [(await harness.query(n % 20)).status_code for n in range(count)]

    before = asyncio.gather(*(queries(6) for _ in range(6)))
    assert await end() in (200, 201)
    after = await harness.query(1)
    statuses = Counter(status for batch in await before for status in batch)
    assert after.status_code in (403, 404)
    assert statuses.total() == statuses[200] + statuses[403] + statuses[404]
    order = await said_in_order(harness)
    ended = {
        "revoke": "grant.revoked",
        "suspend": "grant.suspended",
        "contain": "grant.suspended",
        "withdraw-opening": "opening.withdrawn",
        "narrow": "opening.set",
    }[ending]
    last = len(order) - 1 - order[::-1].index(ended)
    assert "data.queried" not in order[last:]


@pytest.mark.parametrize("ending", ["revoke", "suspensions"])
async def test_an_end_waits_for_the_query_that_came_first(harness, ending):
    """The query has its verdict and its records, and is not committed: the end must not be acknowledged yet."""
    grant = await harness.all_ready()
    clerk = Principal(
        "account", str(harness.clerk.id), harness.unit, UnitKind.AGENCY, frozenset(), None, {}, harness.clock.now()
    )
    asked = QueryRequest.model_validate(harness.asked(3))
    watching = await asyncpg.connect(harness.database.admin_dsn)
    try:
        async with harness.runtime.database.raw_transaction() as connection:
            await service.query_credit_data(connection, harness.runtime, clerk, asked, OFFICE)
            end = asyncio.create_task(harness.authority.post(f"/grants/{grant}/{ending}", {"reason": "终止"}))
            while not await watching.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                assert not end.done()
        assert (await end).status_code in (200, 201)
    finally:
        await watching.close()
    order = await said_in_order(harness)
    assert order.index("data.queried") < order.index("grant.revoked" if ending == "revoke" else "grant.suspended")


async def test_an_application_is_either_decided_or_withdrawn(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    for _ in range(12):
        made = await harness.applied()
        await harness.advised(made)
        decided, withdrawn = await asyncio.gather(
            harness.authority.post(f"/applications/{made}/decision", {"decision": "approved", "reason": "同意"}),
            harness.clerk.post(f"/applications/{made}/withdraw", {"reason": "不再需要"}),
        )
        state = (await harness.clerk.get(f"/applications/{made}")).json()
        if decided.status_code == 201:
            assert (withdrawn.status_code, state["state"]) == (409, "approved")
            assert state["agreement_id"]
        else:
            assert (decided.status_code, withdrawn.status_code, state["state"]) == (409, 200, "withdrawn")
            assert state["decision"] is None
            assert state["agreement_id"] is None


async def test_two_authorities_decide_once(harness):
    await harness.opened(rows=0)
    await harness.ready_unit()
    for _ in range(6):
        made = await harness.applied()
        await harness.advised(made)
        path = f"/applications/{made}/decision"
        assert await gathered(
            harness.authority.post(path, {"decision": "approved", "reason": "同意"}),
            harness.authority2.post(path, {"decision": "rejected", "reason": "不同意"}),
        ) == {201: 1, 409: 1}
        assert await harness.count("decisions", f"application_id = '{made}'") == 1


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("kind", ["unit", "system"])
async def test_a_grant_that_begins_while_its_unit_is_contained_is_suspended(harness, kind):
    await harness.opened(rows=0)
    await harness.ready_unit()
    for _ in range(6):
        made = await harness.applied()
        await harness.advised(made)
        agreement = await harness.approved(made)
        await harness.signed(agreement, harness.admin)
        _, signed = await asyncio.gather(
            harness.order(kind, harness.unit if kind == "unit" else harness.system.id),
            harness.signed(agreement, harness.authority),
        )
        grant = (await harness.admin.get(f"/grants/{signed['grant_id']}")).json()
        assert grant["state"] == "suspended"


@pytest.mark.clause("7.4")
async def test_an_authorised_query_takes_four_statements(harness):
    """Lock, verdict, reading with counting and fact, outbox."""
    await harness.all_ready()
    await harness.query(1)
    statements = []
    watched = await harness.runtime.database.engine.raw_connection()
    watched.driver_connection.add_query_logger(lambda sent: statements.append(sent.query))
    watched.close()
    assert (await harness.query(2)).status_code == 200
    acts = [sent for sent in statements if not sent.startswith(("BEGIN", "COMMIT"))]
    assert [
        next(w for w in ("NO KEY UPDATE", "opening_set", "usage_subjects", "INTO outbox", "?") if w in s or w == "?")
        for s in acts
    ] == ["NO KEY UPDATE", "opening_set", "usage_subjects", "INTO outbox"]


async def test_two_loads_of_one_file_at_once_load_it_once(harness):
    from tests.services.datashare.harness import csv_of

    await harness.opened(rows=0)
    answers = await asyncio.gather(*(harness.load(csv_of(300)) for _ in range(3)))
    assert [a.status_code for a in answers] == [200, 200, 200]
    assert sorted(a.json()["again"] for a in answers) == [False, True, True]
    assert await harness.count("records") == 300
    assert len(await harness.events("records.loaded")) == 1


async def test_a_refused_query_leaves_no_usage(harness):
    await harness.all_ready()
    refused = await harness.query(3, purpose="marketing")
    assert (refused.status_code, slug(refused)) == (403, "purpose-outside-grant")
    assert await harness.count("usage") == 0
    assert await harness.count("queries") == 0
    assert PURPOSE != "marketing"
