"""What ends access against what uses or gives it, at the same time, on real databases with real commits."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import httpx
import pytest

from common.ids import new_id
from tests.harness.client import bearer, slug
from tests.harness.people import Person
from tests.platform.harness import SUBJECTS, PlatformHarness, Unit

USERS = 2
"""Who queries at the same time."""


@pytest.fixture(scope="module")
async def unit(harness: PlatformHarness) -> Unit:
    return await harness.unit()


async def _while_querying(harness: PlatformHarness, unit: Unit, token: str, end: Callable[[], Awaitable[None]]) -> int:
    """Query without a pause, at the gateway and past it, while `end` runs.

    No query that begins after `end` has returned may succeed. Returns how many did before.
    """
    ended, served = False, 0
    warm = asyncio.Event()

    async def use(client: httpx.AsyncClient) -> None:
        nonlocal served
        while True:
            began_after = ended
            answer = await harness.query(unit, token, client)
            if answer.status_code == 200:
                assert not began_after, "a query that began after the end was acknowledged has succeeded"
                served += 1
                warm.set()
            else:
                assert answer.status_code in (401, 403), answer.text
                warm.set()
            if began_after:
                return

    clients = itertools.cycle((harness.client, harness.platform.direct["datashare"]))
    async with asyncio.TaskGroup() as group:
        for _, client in zip(range(USERS), clients, strict=False):
            group.create_task(use(client))
        await warm.wait()
        await end()
        ended = True
    return served


@pytest.mark.clause("6.5")
async def test_no_query_that_begins_after_a_suspension_is_answered_succeeds(harness, unit):
    served = 0
    for _ in range(8):

        async def end():
            await harness.center.done(f"/identity/accounts/{unit.clerk.id}/suspend", {"reason": "核查"})

        served += await _while_querying(harness, unit, unit.clerk.access_token, end)
        await harness.center.done(f"/identity/accounts/{unit.clerk.id}/reinstate")
        await unit.clerk.sign_in()
        await harness.platform.settle()
    assert served >= 8


@pytest.mark.clause("5d.3")
@pytest.mark.parametrize("act", ["suspend", "secret"])
async def test_no_query_of_a_system_that_begins_after_its_end_is_answered_succeeds(harness, unit, act):
    served = 0
    for _ in range(6):

        async def end():
            path = f"/identity/systems/{unit.system.id}/{act}"
            body = await unit.admin.done(path, {"reason": "异常"} if act == "suspend" else None)
            unit.system.secret = body.get("client_secret", unit.system.secret)

        served += await _while_querying(harness, unit, unit.system.access_token, end)
        if act == "suspend":
            await unit.admin.done(f"/identity/systems/{unit.system.id}/reinstate")
        await unit.system.sign_in()
        await harness.platform.settle()
    assert served >= 6


@pytest.mark.clause("10.2")
async def test_no_query_that_begins_after_the_grant_was_suspended_succeeds(harness, unit):
    served = 0
    for _ in range(10):

        async def end():
            path = f"/datashare/grants/{unit.grant}/suspensions"
            grant = await harness.authority.done(path, {"reason": "暂停使用"})
            unit.things["suspension"] = next(s["id"] for s in grant["suspensions"] if not s["lifted_at"])

        served += await _while_querying(harness, unit, unit.system.access_token, end)
        await harness.authority.done(f"/datashare/grants/{unit.grant}/suspensions/{unit.things['suspension']}/lift")
    assert served >= 10


@pytest.mark.clause("12.3")
async def test_no_query_that_begins_after_the_containment_is_answered_succeeds(harness, unit):
    served = 0
    for _ in range(2):
        breaches: list[str] = []

        async def end(breaches=breaches):
            report = harness.breach(systems=[unit.system.id])
            body = await unit.admin.done("/incident/breaches", report, params={"wait_ms": 5000})
            # Confirmed is enough: the probes, behind all these queries, may take longer than the answer waits.
            assert body["containment"]["confirmed"] == body["containment"]["orders"] == 2, body["containment"]
            breaches.append(body["id"])

        served += await _while_querying(harness, unit, unit.system.access_token, end)
        proposal = await harness.center.done(
            f"/incident/breaches/{breaches[0]}/lift-proposals", {"reason": "核查为误报"}
        )
        await harness.authority.done(f"/incident/lift-proposals/{proposal['id']}/approve", params={"wait_ms": 5000})
        await harness.platform.settle()
        await unit.system.sign_in()
    assert served >= 2


@pytest.mark.clause("10.4")
@pytest.mark.parametrize(("quota", "most"), [({"calls": 5}, 5), ({"subjects": 3}, 3), ({"rows": 4}, 4)])
async def test_of_many_queries_at_once_exactly_the_quota_is_answered(harness, quota, most):
    unit = await harness.unit(quota={"calls": 100, "rows": 100, "subjects": 10} | quota)
    asked = [
        harness.query(
            unit,
            unit.system.access_token if n % 2 else unit.clerk.access_token,
            (harness.client, harness.platform.direct["datashare"])[n % 4 < 2],
            subject={"uscc": SUBJECTS[n % 8]},
            limit=1,
        )
        for n in range(16)
    ]
    answers = await asyncio.gather(*asked)
    served = [answer for answer in answers if answer.status_code == 200]
    refused = {(answer.status_code, slug(answer)) for answer in answers if answer.status_code != 200}
    assert refused == {(429, "quota-exhausted")}
    if "subjects" in quota:
        assert len({answer.request.content.split(b'"uscc":"')[1][:18] for answer in served}) == most
    else:
        assert len(served) == most
    found = [
        e for e in await harness.platform.events("datashare", "data.queried") if e["data"]["grant_id"] == unit.grant
    ]
    assert len(found) == len(served)


@pytest.mark.clause("10.2")
async def test_an_application_is_either_decided_or_withdrawn(harness, unit):
    won = {"decided": 0, "withdrawn": 0}
    for number in range(8):
        application = await harness.apply(unit)
        await harness.advise(application)
        path = f"/datashare/applications/{application}"
        decide = harness.authority.post(f"{path}/decision", {"decision": "approved", "reason": "同意使用"})
        withdraw = unit.clerk.post(f"{path}/withdraw", {"reason": "不再需要"})
        both = (decide, withdraw) if number % 2 else (withdraw, decide)
        answers = await asyncio.gather(*both)
        decided, withdrawn = answers if number % 2 else answers[::-1]
        assert sorted((decided.is_success, withdrawn.is_success)) == [False, True], (decided.text, withdrawn.text)
        assert 409 in (decided.status_code, withdrawn.status_code)
        state = (await unit.clerk.get(path)).json()
        assert (state["decision"] is not None) == decided.is_success
        assert (state["withdrawn_at"] is not None) == withdrawn.is_success
        assert (state["agreement_id"] is not None) == decided.is_success
        won["decided" if decided.is_success else "withdrawn"] += 1
    assert sum(won.values()) == 8


async def _report(harness: PlatformHarness, admin: Person, person: Person) -> httpx.Response:
    left = {"account_id": person.id, "kind": "departure", "left_at": harness.clock.now().isoformat()}
    return await admin.post("/identity/departures", left)


async def _all_dead(harness: PlatformHarness, answers: list[httpx.Response]) -> int:
    """Whatever tokens the answers gave are refused everywhere; returns how many gave any."""
    given = [answer.json() for answer in answers if answer.is_success]
    for tokens in given:
        found = await harness.refused_by_all(tokens["access_token"])
        assert {(status, what) for status, what, _ in found} == {(401, "credential-revoked")}
        refresh = {"refresh_token": tokens["refresh_token"]}
        assert (await harness.client.post("/identity/sessions/refresh", json=refresh)).status_code == 401
    return len(given)


@pytest.mark.clause("6.5")
async def test_who_signs_in_or_refreshes_while_the_departure_is_reported_or_the_account_cancelled_holds_nothing(
    harness, unit
):
    for _ in range(5):
        person = await harness.newcomer(unit.admin)
        old = person.access_token
        requests = [person.try_sign_in(), person.try_refresh()]
        signed, refreshed, reported = await asyncio.gather(*requests, _report(harness, unit.admin, person))
        departure = reported.json()["departure"]["id"]
        assert reported.json()["effective"]["effective_at"]
        await _all_dead(harness, [signed, refreshed])
        cancel = harness.center.post(f"/identity/departures/{departure}/cancel-account")
        again = [person.try_sign_in(), person.try_refresh()]
        signed, refreshed, cancelled = await asyncio.gather(*again, cancel)
        assert cancelled.status_code == 200, cancelled.text
        assert await _all_dead(harness, [signed, refreshed]) == 0
        assert {status for status, _, _ in await harness.refused_by_all(old)} == {401}


@pytest.mark.clause("6.5")
async def test_a_departure_reported_and_cancelled_by_many_at_once_is_one_departure(harness, unit):
    person = await harness.newcomer(unit.admin)
    left = {"account_id": person.id, "kind": "transfer", "left_at": harness.clock.now().isoformat()}
    reports = await asyncio.gather(*(unit.admin.post("/identity/departures", left) for _ in range(4)))
    ids = {report.json()["departure"]["id"] for report in reports}
    assert len(ids) == 1
    path = f"/identity/departures/{ids.pop()}/cancel-account"
    cancels = await asyncio.gather(*(harness.center.post(path) for _ in range(4)))
    assert {cancel.status_code for cancel in cancels} == {200}
    assert len({cancel.json()["departure"]["handover_id"] for cancel in cancels}) == 1
    revoked = await harness.platform.events("identity", "account.revoked")
    assert sum(event["data"]["account_id"] == person.id for event in revoked) == 1


@pytest.mark.clause("6.6")
async def test_a_handover_is_countersigned_once_and_only_when_everything_is_settled(harness, unit):
    orders = itertools.cycle(itertools.permutations(("settle", "settle", "sign", "sign")))
    for _ in range(4):
        leaver = await harness.clerk(unit.admin)
        # Something that datashare lists: what was queried.
        assert (await harness.query(unit, leaver.access_token)).status_code in (200, 403)
        departure = (await _report(harness, unit.admin, leaver)).json()["departure"]["id"]
        body = await harness.center.done(f"/identity/departures/{departure}/cancel-account")
        path = f"/identity/handovers/{body['departure']['handover_id']}"
        await harness.platform.settle()
        acts = {
            "settle": lambda path=path: unit.clerk.post(f"{path}/settlements", {"outcome": "taken-over"}),
            "sign": lambda path=path: unit.admin.post(f"{path}/countersign"),
        }
        names = next(orders)
        answers = await asyncio.gather(*(acts[name]() for name in names))
        by = {name: [a for n, a in zip(names, answers, strict=True) if n == name] for name in acts}
        assert {answer.status_code for answer in answers} <= {200, 201, 409}, [a.text for a in answers]
        assert sum(answer.is_success for answer in by["sign"]) <= 1
        handover = (await unit.admin.get(path)).json()
        if handover["state"] == "completed":
            assert all(item["outcome"] for item in handover["items"])
        else:
            assert (await unit.admin.post(f"{path}/countersign")).status_code == 200
        completed = await harness.platform.events("identity", "handover.completed")
        handover_id = path.rsplit("/", 1)[1]
        assert sum(event["data"]["handover_id"] == handover_id for event in completed) == 1


@pytest.mark.clause("12.3")
async def test_of_two_lifts_at_once_one_is_proposed_and_one_is_approved(harness, unit):
    system = await harness.system(unit.admin)
    await harness.platform.settle()
    report = harness.breach(systems=[system.id])
    breach = (await unit.admin.done("/incident/breaches", report, params={"wait_ms": 5000}))["id"]
    path = f"/incident/breaches/{breach}/lift-proposals"
    reason = {"reason": "核查为误报"}
    proposals = await asyncio.gather(*(harness.center.post(path, reason) for _ in range(3)))
    assert sorted(answer.status_code for answer in proposals) == [201, 409, 409]
    proposal = next(answer.json()["id"] for answer in proposals if answer.is_success)
    path = f"/incident/lift-proposals/{proposal}"
    approvals = [harness.authority.post(f"{path}/approve", params={"wait_ms": 5000}) for _ in range(2)]
    *approved, withdrawn = await asyncio.gather(*approvals, harness.center.post(f"{path}/withdraw"))
    assert sorted(a.status_code for a in (*approved, withdrawn)) == [200, 409, 409]
    await harness.platform.settle()
    restored = (await system.try_sign_in()).status_code == 200
    assert restored == any(answer.is_success for answer in approved)
    lifted = [
        e for e in await harness.platform.events("incident", "containment.lifted") if e["data"]["incident_id"] == breach
    ]
    orders = {event["data"]["order_id"] for event in lifted}
    assert len(lifted) == len(orders)
    assert bool(lifted) == restored


async def test_the_same_idempotency_key_many_times_at_once_is_one_act_with_one_answer(harness, unit):
    for path, body, status in (
        ("/identity/accounts", harness.invitee(), 201),
        ("/identity/systems", {"name": "又一系统", "origins": ["10.1.0.0/16"]}, 201),
        ("/datashare/data-rules", {"title": "数据安全管理细则", "text": "专人专岗，最小授权。" * 4}, 201),
        ("/incident/breaches", harness.breach(accounts=[(await harness.newcomer(unit.admin)).id]), 201),
    ):
        await harness.platform.settle()
        key = {"idempotency-key": f"key-{new_id()}"}
        answers = await asyncio.gather(*(unit.admin.post(path, body, headers=key) for _ in range(4)))
        assert {answer.status_code for answer in answers} == {status}, [a.text for a in answers]
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 3, path
        first = answers[0].json()
        name = "account_id" if "account_id" in first else "id"
        assert len({answer.json()[name] for answer in answers}) == 1


async def test_the_same_idempotency_key_for_two_acts_at_once_serves_one_of_them(harness, unit):
    key = {"idempotency-key": f"key-{new_id()}"}
    bodies = [harness.invitee() for _ in range(3)]
    answers = await asyncio.gather(*(unit.admin.post("/identity/accounts", body, headers=key) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201, 422, 422]
    other = await harness.center.post("/identity/accounts", harness.invitee(), headers=key)
    assert other.status_code == 201, "another's key is another key"


async def test_one_refresh_token_used_by_many_at_once_gives_at_most_one_session_and_that_one_ends(harness, unit):
    person = await harness.newcomer(unit.admin)
    answers = await asyncio.gather(*(person.try_refresh() for _ in range(4)))
    given = [answer.json() for answer in answers if answer.is_success]
    assert len(given) == 1
    assert {answer.json().get("reason") for answer in answers if not answer.is_success} <= {"reused", "ended"}
    for point in harness.platform.points:
        session = next(
            e["data"]["session_id"]
            for e in await harness.platform.events("identity", "session.ended")
            if e["data"]["account_id"] == person.id
        )
        assert await point.until(lambda point=point, session=session: point.holds(f"session:{session}", 1), 5)
    answer = await harness.client.get("/identity/me", headers=bearer(given[0]["access_token"]))
    assert (answer.status_code, slug(answer)) == (401, "credential-revoked")
