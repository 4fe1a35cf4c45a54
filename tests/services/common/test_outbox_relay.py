"""The outbox and its relay: only what committed is said, all of it, numbered without gaps, whatever dies in between."""

import asyncio
import itertools
import time
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from common.backoff import Backoff
from common.clock import ManualClock
from common.enforcement.revocation_feed import Cutoff
from common.ids import new_id
from common.messaging import outbox
from common.messaging import relay as relay_module
from common.messaging.events import Envelope
from common.messaging.relay import Relay
from common.messaging.topics import FEED_TOPIC
from common.storage.database import Database
from common.web.application import asyncpg_dsn, supervise
from tests.harness.polling import eventually
from tests.services.common.harness import Bus
from tests.services.common.toy.events import ThingMade

HERE = "(SELECT oid FROM pg_database WHERE datname = current_database())"
LOCK = f"locktype = 'advisory' AND granted AND database = {HERE}"
OTHERS = "datname = current_database() AND pid <> pg_backend_pid()"


class Ground:
    """The toy's database, a bus, and as many relays as a test starts."""

    def __init__(self, urls, bus: Bus) -> None:
        self.dsn, self.bus, self.clock = asyncpg_dsn(urls.app), bus, ManualClock()
        self.database = Database(urls.app, pool_size=10)
        self.relays: list[asyncio.Task] = []

    async def say(self, *names: str) -> None:
        async with self.database.transaction() as session:
            for name in names:
                outbox.add(session, ThingMade(name=name), at=self.clock.now())

    def relay(self, **options) -> Relay:
        relay = Relay(publisher="toy", dsn=self.dsn, bus=self.bus, clock=self.clock, **options)
        self.relays.append(asyncio.create_task(supervise("toy", "relay", relay.run)))
        return relay

    async def kill(self) -> None:
        """End every relay where it stands."""
        for relay in self.relays:
            relay.cancel()
        await asyncio.gather(*self.relays, return_exceptions=True)
        self.relays.clear()

    def names(self) -> list[str]:
        return [envelope.data["name"] for envelope in self.bus.events()]

    async def has(self, *names: str) -> None:
        await eventually(lambda: set(names) <= set(self.names()))


@asynccontextmanager
async def ground_over(urls):
    bus = Bus()
    await bus.start()
    ground = Ground(urls, bus)
    try:
        yield ground
    finally:
        await ground.kill()
        await ground.database.close()
        await bus.stop()


@pytest.fixture
async def ground(toy_database):
    async with ground_over(toy_database) as made:
        yield made


def numbers(envelopes) -> list[int]:
    return [envelope.sequence for envelope in envelopes]


def say_once(envelopes) -> dict[int, bytes]:
    """Number → bytes; a number that stands for two different messages is a failure."""
    said: dict[int, bytes] = {}
    for envelope in envelopes:
        assert said.setdefault(envelope.sequence, envelope.to_bytes()) == envelope.to_bytes()
    return said


@pytest.mark.clause("12.4")
async def test_only_what_committed_is_said(ground):
    ground.relay()

    async def fail():
        async with ground.database.transaction() as session:
            outbox.add(session, ThingMade(name="taken back"), at=ground.clock.now())
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    await ground.say("meant")
    await ground.has("meant")
    assert ground.names() == ["meant"]
    assert numbers(ground.bus.events()) == [1]


async def test_what_was_said_within_a_savepoint_is_taken_back_with_it(ground):
    async def bad_row(session):
        async with session.begin_nested():
            async with session.begin_nested():
                outbox.add(session, ThingMade(name="deep"), at=ground.clock.now())
            outbox.add(session, ThingMade(name="bad row"), at=ground.clock.now())
            raise RuntimeError

    async with ground.database.transaction() as session:
        outbox.add(session, ThingMade(name="before"), at=ground.clock.now())
        with pytest.raises(RuntimeError):
            await bad_row(session)
        async with session.begin_nested():
            outbox.add(session, ThingMade(name="good row"), at=ground.clock.now())
    ground.relay()
    await ground.has("before", "good row")
    assert ground.names() == ["before", "good row"]


async def test_an_event_that_no_bus_would_take_does_not_commit(ground):
    with pytest.raises(ValueError, match="over"):
        await ground.say("x" * outbox.MAX_EVENT_BYTES)
    await ground.say("small")
    ground.relay()
    await ground.has("small")


async def test_concurrent_commits_are_numbered_without_gaps(ground):
    ground.relay()
    await asyncio.gather(*(ground.say(f"thing {n}") for n in range(100)))
    await ground.has(*(f"thing {n}" for n in range(100)))
    assert sorted(numbers(ground.bus.events())) == list(range(1, 101))


async def test_a_long_transaction_that_commits_late_is_not_passed_by(ground):
    ground.relay()
    async with ground.database.transaction() as late:
        outbox.add(late, ThingMade(name="late"), at=ground.clock.now())
        await outbox.flush(late)
        await ground.say("early")
        await ground.has("early")
    await ground.has("late")
    assert ground.names() == ["early", "late"]
    assert numbers(ground.bus.events()) == [1, 2]


@pytest.mark.parametrize("steps", list(itertools.product(["taken", "published", "done"], repeat=2)))
async def test_a_relay_killed_between_any_two_steps_says_the_same_again(ground, steps):
    for turn, step in enumerate(steps):
        await ground.say(f"a{turn}", f"b{turn}")
        if step == "taken":
            ground.bus.frozen = asyncio.Event()
            ground.bus.entered.clear()
            ground.relay(heartbeat_every=1000)
            await ground.bus.entered.wait()
        elif step == "published":
            ground.bus.forgets = True
            ground.relay(heartbeat_every=1000)
            await ground.has(f"a{turn}", f"b{turn}")
        else:
            ground.relay(heartbeat_every=1000)
            await ground.has(f"a{turn}", f"b{turn}")
        await ground.kill()
        ground.bus.forgets, ground.bus.frozen = False, None
    await ground.say("last")
    ground.relay()
    await ground.has("a0", "b0", "a1", "b1", "last")
    assert list(dict.fromkeys(ground.names())) == ["a0", "b0", "a1", "b1", "last"]
    assert sorted(say_once(ground.bus.events())) == [1, 2, 3, 4, 5]


async def test_a_relay_waits_out_a_bus_that_is_away_and_shows_the_age_of_what_waits(ground):
    ground.bus.away = True
    relay = ground.relay()
    await ground.say("waits")
    await eventually(lambda: len(ground.bus.tried) >= 2)
    first = ground.bus.tried[-1]
    ground.clock.advance(timedelta(seconds=40))
    assert relay.oldest_age == pytest.approx(40)
    await eventually(lambda: len(ground.bus.tried) >= 3)
    assert ground.bus.tried[-1] == first, "the same bytes each time"
    ground.bus.away = False
    await ground.has("waits")
    await eventually(lambda: relay.oldest_age == 0)
    assert numbers(ground.bus.events()) == [1]


async def test_a_relay_backs_off_while_the_bus_is_away(ground, monkeypatch):
    waits = []
    real = asyncio.sleep

    async def noted(seconds, *more):
        if seconds >= Backoff().initial:
            waits.append(seconds)
            seconds = 0
        await real(seconds, *more)

    monkeypatch.setattr(asyncio, "sleep", noted)
    ground.bus.away = True
    ground.relay()
    await ground.say("waits")
    await eventually(lambda: len(waits) >= 8)
    assert waits[:8] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


async def test_a_commit_wakes_the_relay_at_once(ground):
    ground.relay()
    await ground.say("first")
    await ground.has("first")
    took = []
    for turn in range(10):
        started_at = time.monotonic()
        await ground.say(f"t{turn}")
        await ground.has(f"t{turn}")
        took.append(time.monotonic() - started_at)
    assert sorted(took)[5] < 0.2, f"median of {took}"


async def test_a_row_whose_notification_was_lost_is_swept_up(ground, admin, monkeypatch):
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 0.1)
    ground.relay()
    await ground.say("first")
    await ground.has("first")
    await admin.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_notify")
    await ground.say("unheard")
    await ground.has("unheard")


@pytest.mark.parametrize("woken", ["own", "other"])
async def test_a_commit_without_a_notification_wakes_the_relay_be_it_this_or_another_process(
    ground, admin, monkeypatch, woken
):
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 600)
    await admin.execute("ALTER TABLE outbox DISABLE TRIGGER outbox_notify")
    await ground.say("first")
    holder = ground.relay(heartbeat_every=600)
    await ground.has("first")
    idle = ground.relay(heartbeat_every=600)
    ground.database.on_commit = {"own": holder, "other": idle}[woken].wake
    await ground.say("one")
    await ground.has("one")
    async with ground.database.raw_transaction() as connection:
        await outbox.add_on_connection(connection, ThingMade(name="two"), at=ground.clock.now())
    await ground.has("two")


async def test_of_two_relays_one_works_and_the_other_takes_over_when_its_connection_dies(ground, admin, monkeypatch):
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 0.05)
    ground.relay()
    ground.relay()
    await ground.say("one")
    await ground.has("one")
    holders = f"SELECT pid FROM pg_locks WHERE {LOCK}"
    (holder,) = await admin.fetch(holders)
    for turn in range(30):
        await ground.say(f"k{turn}", "same")
    await admin.execute("SELECT pg_terminate_backend($1)", holder["pid"])
    await ground.say("after")
    await ground.has("after")
    (successor,) = await admin.fetch(holders)
    assert successor["pid"] != holder["pid"]
    assert sorted(say_once(ground.bus.events())) == list(range(1, 63))


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_relay_that_lost_its_lock_while_publishing_gives_up_and_marks_nothing(
    ground, admin, monkeypatch, hangs
):
    """A process that hangs says nothing to its database either, and must not hold up the other replicas for good."""
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 0.05)
    monkeypatch.setattr(relay_module, "LOCK_SESSION_TIMEOUT", 1.0 if hangs else 60.0)
    frozen = Bus()
    await frozen.start()
    frozen.frozen = asyncio.Event()
    zombie = Relay(publisher="toy", dsn=ground.dsn, bus=frozen, clock=ground.clock)
    running = asyncio.create_task(zombie.run())
    ground.relays.append(running)
    await ground.say("said once")
    await frozen.entered.wait()
    ground.relay(heartbeat_every=0.2)
    if not hangs:
        await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {LOCK}")
    await ground.has("said once")
    await ground.say("later")
    await ground.has("later")
    await eventually(lambda: frozen.inside == 0)
    assert not frozen.held, "the publication was given up with the lock"
    assert say_once(ground.bus.events()).keys() == {1, 2}
    await frozen.stop()


async def test_a_publication_that_never_ends_is_given_up_and_tried_again(ground, monkeypatch):
    monkeypatch.setattr(relay_module, "PUBLISH_TIMEOUT", 0.1)
    ground.bus.frozen = asyncio.Event()
    ground.relay()
    await ground.say("slow")
    await eventually(lambda: len(ground.bus.tried) >= 2)
    ground.bus.frozen = None
    await ground.has("slow")


async def test_entries_of_the_feed_carry_no_number(ground):
    cutoff = Cutoff(id=new_id(), subject="account:1", epoch=1, reason="test", at=ground.clock.now())
    async with ground.database.transaction() as session:
        outbox.add(session, ThingMade(name="one"), at=ground.clock.now())
        outbox.add_entry(session, cutoff, at=ground.clock.now())
        outbox.add(session, ThingMade(name="two"), at=ground.clock.now())
    ground.relay()
    await ground.has("one", "two")
    assert numbers(ground.bus.events()) == [1, 2]
    (entry,) = [message for message in ground.bus.held if message.topic == FEED_TOPIC]
    assert entry.value == cutoff.to_bytes()
    assert entry.key == cutoff.key


async def test_heartbeats_go_out_under_a_load_that_never_ends(ground, monkeypatch):
    """Else a busy identity would fall silent, and every act of class A with it."""
    beats = []
    real = Relay._drain

    async def busy(self, connection):
        await ground.say("load")
        return await real(self, connection)

    monkeypatch.setattr(Relay, "_drain", busy)
    ground.relay(heartbeat_every=0.05, beats=[lambda: beats.append(1) or outbox.Message(FEED_TOPIC, "beat", b"{}")])
    await eventually(lambda: len(beats) >= 3)


async def test_a_heartbeat_names_the_last_number(ground):
    ground.relay(heartbeat_every=0.05)
    await ground.say("one", "two")
    await ground.has("one", "two")

    def last():
        said = [m for m in ground.bus.held if m.key == "heartbeat"]
        return Envelope.model_validate_json(said[-1].value).sequence if said else None

    await eventually(lambda: last() == 2)


async def test_rows_of_one_key_keep_their_order_through_failures(ground):
    ground.relay()
    for turn in range(40):
        ground.bus.away = turn % 7 == 3
        await ground.say(f"n{turn:02}")
        ground.bus.away = False
    await ground.has("n39")
    assert list(dict.fromkeys(ground.names())) == [f"n{turn:02}" for turn in range(40)]


@pytest.mark.clause("12.4")
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE outbox SET published_at = now()",
        "DELETE FROM outbox",
        "TRUNCATE outbox",
        "UPDATE outbox_counter SET last = 0",
        "INSERT INTO outbox (topic, key, body, created_at, published_at) VALUES ('t', 'k', '', now(), now())",
        "INSERT INTO outbox (topic, key, body, created_at, sequence) VALUES ('t', 'k', '', now(), 2)",
        "CREATE TEMP TABLE outbox (id bigint)",
        "ALTER TABLE outbox DISABLE TRIGGER ALL",
        "DELETE FROM inbox",
    ],
)
async def test_the_serving_role_cannot_unsay_what_it_said(ground, statement):
    await ground.say("said")
    connection = await asyncpg.connect(ground.dsn)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement)
    await connection.close()


async def test_what_was_marked_as_said_without_being_said_leaves_a_gap(ground):
    await ground.say("hushed up")
    connection = await asyncpg.connect(ground.dsn)
    await connection.execute("SELECT relay_done(array(SELECT id FROM outbox))")
    assert await connection.fetchval("SELECT count(*) FROM outbox WHERE published_at IS NULL") == 1, "not numbered yet"
    await connection.fetch("SELECT * FROM relay_take(10)")
    await connection.execute("SELECT relay_done(array(SELECT id FROM outbox))")
    await connection.close()
    await ground.say("next")
    ground.relay()
    await ground.has("next")
    assert numbers(ground.bus.events()) == [2]


async def test_a_relay_recovers_when_the_database_comes_back(ground, admin, monkeypatch):
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 0.05)
    ground.relay()
    for turn in range(3):
        await ground.say(f"turn {turn}")
        await ground.has(f"turn {turn}")
        await admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
        await eventually(ground.database.ping)
    assert sorted(say_once(ground.bus.events())) == [1, 2, 3]
