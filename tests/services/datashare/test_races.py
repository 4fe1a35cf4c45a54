"""Two at once on real PostgreSQL with real commits: who comes later sees what the earlier one did, always."""

import asyncio
from collections import Counter

import asyncpg
import pytest
from sqlalchemy import text

from common.contracts.permissions import UnitKind
from common.enforcement.authentication import Principal
from datashare.data_queries import service
from datashare.data_queries.schemas import QueryAsked
from tests.services.datashare.harness import CODE, OFFICE, PURPOSE, problem


async def gathered(*calls):
    return Counter(answer.status_code for answer in await asyncio.gather(*calls))


async def said_in_order(world) -> list[str]:
    async with world.runtime.database.transaction() as session:
        types = await session.scalars(
            text("SELECT convert_from(body, 'UTF8')::jsonb ->> 'type' FROM outbox ORDER BY id")
        )
        return [type_.removeprefix("cn.xindun.datashare.").removesuffix(".v1") for type_ in types]


@pytest.mark.clause("10.4")
async def test_of_many_queries_at_once_exactly_the_quota_succeeds(world):
    await world.all_ready(quota={"calls": 7, "rows": 1000, "subjects": 50})
    assert await gathered(*(world.query(n % 20) for n in range(24))) == {200: 7, 429: 17}
    assert await world.count("queries") == 7
    assert await world.count("usage", "calls = 7 AND rows = 7") == 1
    assert len(await world.told("quota.reached")) == 1
    assert len(await world.told("query.refused")) == 17


async def test_of_many_subjects_at_once_exactly_the_quota_is_shown(world):
    await world.all_ready(quota={"calls": 100, "rows": 1000, "subjects": 4})
    assert await gathered(*(world.query(n % 12) for n in range(24))) == {200: 8, 429: 16}
    assert await world.count("usage_subjects") == 4


async def test_rows_run_out_exactly(world):
    await world.all_ready(quota={"calls": 100, "rows": 17, "subjects": 50})
    many = {"subject": None, "filters": [{"field": "penalty_date", "op": "from", "value": "2000-01-01"}], "limit": 5}
    answers = await asyncio.gather(*(world.query(**many) for _ in range(6)))
    assert sum(len(a.json()["records"]) for a in answers if a.status_code == 200) == 17
    assert Counter(a.status_code for a in answers) == {200: 4, 429: 2}


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("ending", ["revoke", "suspend", "withdraw-opening", "contain", "narrow"])
async def test_no_query_succeeds_after_the_end_it_raced(world, ending):
    grant = await world.all_ready(opening={"quota": {"calls": 1000, "rows": 1000, "subjects": 50}})

    async def end():
        if ending == "revoke":
            return (await world.authority.post(f"/grants/{grant}/revoke", {"reason": "终止"})).status_code
        if ending == "suspend":
            return (await world.authority.post(f"/grants/{grant}/suspensions", {"reason": "核查"})).status_code
        if ending == "contain":
            await world.order("system", world.system.id)
            return 200
        if ending == "narrow":
            return (await world.reopened(fields=["kind"])).status_code
        opening = await world.authority.get(f"/resources/{CODE}/opening")
        return (
            await world.authority.post(
                f"/resources/{CODE}/opening/withdraw", {"reason": "收回"}, if_match=opening.headers["etag"]
            )
        ).status_code

    async def queries(count):
        return [(await world.query(n % 20)).status_code for n in range(count)]

    before = asyncio.gather(*(queries(6) for _ in range(6)))
    assert await end() in (200, 201)
    after = await world.query(1)
    statuses = Counter(status for batch in await before for status in batch)
    assert after.status_code in (403, 404)
    assert statuses.total() == statuses[200] + statuses[403] + statuses[404]
    order = await said_in_order(world)
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
async def test_an_end_waits_for_the_query_that_came_first(world, ending):
    """The query has its verdict and its records, and is not committed: the end must not be acknowledged yet."""
    grant = await world.all_ready()
    clerk = Principal(
        "account", str(world.clerk.id), world.unit, UnitKind.AGENCY, frozenset(), None, {}, world.clock.now()
    )
    asked = QueryAsked.model_validate(world.asked(3))
    watching = await asyncpg.connect(world.database.admin_dsn)
    try:
        async with world.runtime.database.raw_transaction() as connection:
            await service.query(connection, world.runtime, clerk, asked, OFFICE)
            end = asyncio.create_task(world.authority.post(f"/grants/{grant}/{ending}", {"reason": "终止"}))
            while not await watching.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                assert not end.done()
        assert (await end).status_code in (200, 201)
    finally:
        await watching.close()
    order = await said_in_order(world)
    assert order.index("data.queried") < order.index("grant.revoked" if ending == "revoke" else "grant.suspended")


async def test_an_application_is_either_decided_or_withdrawn(world):
    await world.opened(rows=0)
    await world.ready_unit()
    for _ in range(12):
        made = await world.applied()
        await world.advised(made)
        decided, withdrawn = await asyncio.gather(
            world.authority.post(f"/applications/{made}/decision", {"decision": "approved", "reason": "同意"}),
            world.clerk.post(f"/applications/{made}/withdraw", {"reason": "不再需要"}),
        )
        state = (await world.clerk.get(f"/applications/{made}")).json()
        if decided.status_code == 201:
            assert (withdrawn.status_code, state["state"]) == (409, "approved")
            assert state["agreement_id"]
        else:
            assert (decided.status_code, withdrawn.status_code, state["state"]) == (409, 200, "withdrawn")
            assert state["decision"] is None
            assert state["agreement_id"] is None


async def test_two_authorities_decide_once(world):
    await world.opened(rows=0)
    await world.ready_unit()
    for _ in range(6):
        made = await world.applied()
        await world.advised(made)
        path = f"/applications/{made}/decision"
        assert await gathered(
            world.authority.post(path, {"decision": "approved", "reason": "同意"}),
            world.authority2.post(path, {"decision": "rejected", "reason": "不同意"}),
        ) == {201: 1, 409: 1}
        assert await world.count("decisions", f"application_id = '{made}'") == 1


@pytest.mark.clause("12.3")
@pytest.mark.parametrize("kind", ["unit", "system"])
async def test_a_grant_that_begins_while_its_unit_is_contained_is_suspended(world, kind):
    await world.opened(rows=0)
    await world.ready_unit()
    for _ in range(6):
        made = await world.applied()
        await world.advised(made)
        agreement = await world.approved(made)
        await world.signed(agreement, world.admin)
        _, signed = await asyncio.gather(
            world.order(kind, world.unit if kind == "unit" else world.system.id),
            world.signed(agreement, world.authority),
        )
        grant = (await world.admin.get(f"/grants/{signed['grant_id']}")).json()
        assert grant["state"] == "suspended"


@pytest.mark.clause("7.4")
async def test_an_authorised_query_takes_four_statements(world):
    """Lock, verdict, reading with counting and fact, outbox."""
    await world.all_ready()
    await world.query(1)
    statements = []
    watched = await world.runtime.database.engine.raw_connection()
    watched.driver_connection.add_query_logger(lambda sent: statements.append(sent.query))
    watched.close()
    assert (await world.query(2)).status_code == 200
    acts = [sent for sent in statements if not sent.startswith(("BEGIN", "COMMIT"))]
    assert [
        next(w for w in ("NO KEY UPDATE", "opening_set", "usage_subjects", "INTO outbox", "?") if w in s or w == "?")
        for s in acts
    ] == ["NO KEY UPDATE", "opening_set", "usage_subjects", "INTO outbox"]


async def test_two_loads_of_one_file_at_once_load_it_once(world):
    from tests.services.datashare.harness import csv_of

    await world.opened(rows=0)
    answers = await asyncio.gather(*(world.load(csv_of(300)) for _ in range(3)))
    assert [a.status_code for a in answers] == [200, 200, 200]
    assert sorted(a.json()["again"] for a in answers) == [False, True, True]
    assert await world.count("records") == 300
    assert len(await world.told("records.loaded")) == 1


async def test_a_refused_query_leaves_no_usage(world):
    await world.all_ready()
    refused = await world.query(3, purpose="marketing")
    assert (refused.status_code, problem(refused)) == (403, "purpose-outside-grant")
    assert await world.count("usage") == 0
    assert await world.count("queries") == 0
    assert PURPOSE != "marketing"
