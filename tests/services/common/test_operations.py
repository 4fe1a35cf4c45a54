"""What operators see of a service: also when its database, or the bus, is away."""

import asyncio

import pytest

from common.messaging.relay import Relay
from common.web.application import asyncpg_dsn
from tests.harness.polling import eventually
from tests.services.common.toy.events import QuestionAsked

PATH = "/toy/operations/status"


async def status(harness, **claims) -> dict:
    answer = await harness.client.get(PATH, headers=harness.as_("operations.manage", **claims))
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_service_at_rest_says_so(harness):
    body = await status(harness)
    assert (body["service"], body["instance"]) == ("toy", "1")
    assert body["database"] == {"answers": True, "role": "toy_app"}
    assert body["relay"] == {"unpublished": 0, "oldest_age": 0, "last_published": 0, "holder": "1"}
    assert body["inbox"] == {"waiting": 0, "dead": 0, "oldest_age": 0}
    assert body["delivering"]
    point = body["point"]
    assert (point["name"], point["fresh"], point["cutoffs"], point["keys"]) == ("toy-1", True, 0, 1)
    assert point["age"] < point["bound"] == 2


@pytest.mark.clause("7.2")
async def test_only_who_runs_the_platform_sees_it(harness):
    assert (await harness.client.get(PATH)).status_code == 401
    assert (await harness.client.get(PATH, headers=harness.as_("accounts.read"))).status_code == 403


async def test_what_waits_to_be_published_is_counted_with_its_age(harness):
    harness.bus.away = True
    for name in ("one", "two"):
        await harness.client.post("/toy/things", headers=harness.as_("accounts.invite"), json={"name": name})
    await eventually(lambda: len(harness.bus.tried) >= 2)
    harness.pass_(40)
    relay = (await status(harness))["relay"]
    assert (relay["unpublished"], relay["last_published"]) == (2, 0)
    assert relay["oldest_age"] == pytest.approx(40, abs=0.5)
    harness.bus.away = False
    await eventually(lambda: len(harness.bus.events()) == 2)

    async def as_expected():
        return (await status(harness))["relay"] == {
            "unpublished": 0,
            "oldest_age": 0,
            "last_published": 2,
            "holder": "1",
        }

    await eventually(as_expected)


async def test_the_relaying_replica_is_named(harness, toy_database, admin):
    other = Relay(
        publisher="toy", instance="7", dsn=asyncpg_dsn(toy_database.app), bus=harness.bus, clock=harness.clock
    )
    running = asyncio.create_task(other.run())
    assert (await status(harness))["relay"]["holder"] == "1"
    killing = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '1'"

    async def taken_over():
        await admin.execute(killing)
        return (await status(harness))["relay"]["holder"] == "7"

    await eventually(taken_over)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_events_that_wait_and_dead_ones_are_counted(harness, admin):
    async def refuse(_session, _event):
        raise RuntimeError

    harness.runtime.react = refuse
    await harness.bus.publish([harness.message(QuestionAsked(about="a", text="bad"))])
    await eventually(lambda: counted(harness, waiting=1, dead=0))
    await admin.execute("UPDATE inbox SET status = 'dead', next_attempt_at = NULL")
    await eventually(lambda: counted(harness, waiting=0, dead=1))


async def counted(harness, **numbers) -> bool:
    inbox = (await status(harness))["inbox"]
    return numbers.items() <= inbox.items()


async def test_without_its_database_a_service_still_says_how_it_is(harness, admin):
    await admin.execute("ALTER ROLE toy_app NOLOGIN")
    try:
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'toy_app' AND datname = current_database()"
        )

        async def as_expected():
            return (await status(harness))["database"] == {"answers": False, "role": None}

        await eventually(as_expected)
        assert (await status(harness))["relay"] is None
    finally:
        await admin.execute("ALTER ROLE toy_app LOGIN")
