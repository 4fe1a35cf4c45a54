"""The sequencer: every event once, whole batches or nothing, in any order and under any crash."""

import asyncio
import random
from hashlib import sha256

import asyncpg
import pytest

from audit.log import sequencer as sequencer_module
from audit.tlog.merkle import leaf_hash, tree_root
from audit.tlog.signed_notes import open_checkpoint
from audit.tlog.tiles import Tile, changed_tiles, grow
from common.messaging.bus import Message
from common.messaging.topics import events_topic
from common.problems import Unavailable
from common.storage.database import DatabaseUnavailable


async def checkpoint(harness):
    answer = await harness.get("checkpoint")
    assert answer.status_code == 200, answer.text
    return open_checkpoint(answer.text, harness.signer.verifier)


async def assert_is_log_of(harness, messages):
    """The log holds exactly these messages' bytes, in any order, and its newest checkpoint is the root over them."""
    bodies = await harness.bodies()
    assert sorted(bodies) == sorted(message.value for message in messages)
    signed = await checkpoint(harness)
    assert (signed.size, signed.root) == (len(bodies), tree_root(map(leaf_hash, bodies)))
    assert await harness.fsck() == (len(bodies), [])


async def test_an_empty_log_has_a_signed_checkpoint(harness):
    assert (await checkpoint(harness)).size == 0
    assert await harness.fsck() == (0, [])


@pytest.mark.clause("12.4")
async def test_a_leaf_is_the_bytes_of_the_wire(harness):
    message = harness.message()
    spaced = Message(message.topic, message.key, message.value.replace(b'":', b'" :  '))
    await harness.deliver(spaced)
    assert await harness.bodies() == [spaced.value]


async def test_every_event_delivered_twice_out_of_order_and_concurrently_is_logged_once(harness):
    messages = harness.messages(120) + harness.messages(80, "/incident") + harness.messages(40, "/gateway/1/s-1")
    shuffled = messages * 3
    random.Random(7).shuffle(shuffled)
    portions = [shuffled[at : at + 13] for at in range(0, len(shuffled), 13)]
    await asyncio.gather(*(harness.deliver(*portion) for portion in portions))
    await asyncio.gather(*(harness.deliver(*portion) for portion in portions))
    await assert_is_log_of(harness, messages)


async def test_deliveries_that_come_together_are_committed_together(harness):
    before = len(await harness.sql("SELECT FROM checkpoints"))
    await asyncio.gather(*(harness.deliver(harness.message()) for _ in range(50)))
    made = len(await harness.sql("SELECT FROM checkpoints")) - before
    assert made <= 3
    assert len(await harness.bodies()) == 50


async def test_two_processes_append_to_one_log(make_harness, harness):
    other = await make_harness(harness.database, signer=harness.signer)
    mine, theirs = harness.messages(60), harness.messages(60, "/incident")
    await asyncio.gather(
        *(harness.deliver(*mine[at : at + 5]) for at in range(0, 60, 5)),
        *(other.deliver(*theirs[at : at + 5]) for at in range(0, 60, 5)),
        *(other.deliver(*mine[at : at + 20]) for at in range(0, 60, 20)),
    )
    await assert_is_log_of(harness, mine + theirs)


async def test_events_of_one_delivery_keep_their_order(harness):
    messages = harness.messages(30)
    await harness.deliver(*messages)
    assert await harness.bodies() == [message.value for message in messages]


async def test_the_bus_brings_what_every_publisher_says(harness):
    messages = [harness.message(f"/{name}") for name in ("identity", "datashare", "incident", "audit", "gateway")]
    await harness.bus.publish(messages)
    await assert_is_log_of(harness, messages)


def bad_messages(harness):
    good = harness.message(number=1)
    topic = events_topic("identity")
    yield "not-an-event", Message(topic, "k", None)
    yield "not-an-event", Message(topic, "k", b"not json")
    yield "not-an-event", Message(topic, "k", b"[]")
    yield "not-an-event", Message(topic, "k", good.value.replace(b'"1.0"', b'"0.3"'))
    yield "not-an-event", Message(topic, "k", good.value.replace(b"00:00:00Z", b"00:00:00"))
    yield "not-an-event", harness.message(number=0)
    yield "not-an-event", harness.message(number=-4)
    yield "not-an-event", harness.message(number=10**18)
    yield "not-an-event", harness.message("/identity/" + "x" * 300, number=1)
    yield "not-an-event", harness.message("/identity/\x00", number=1)
    yield "foreign-publisher", harness.message("/datashare", number=1, topic="identity")
    yield "foreign-publisher", harness.message("/gateway/1/s", number=1, topic="identity")
    yield "foreign-publisher", harness.message("/identity", number=1, topic="gateway")
    yield "foreign-publisher", harness.message("/datashare", number=9, topic="identity", name="heartbeat")
    yield "too-long", harness.message(number=1, data={"note": "x" * 65_535})


@pytest.mark.clause("7.4")
async def test_a_message_that_cannot_be_a_leaf_is_rejected_with_its_reason_and_stops_no_other(harness):
    bad = list(bad_messages(harness))
    good = harness.messages(3)
    await harness.deliver(good[0], *(message for _, message in bad), *good[1:])
    await harness.deliver(*(message for _, message in bad))
    assert await harness.bodies_of_others() == [message.value for message in good]
    assert (await harness.fsck())[1] == []
    items = (await harness.read("rejected", limit=100))["items"]
    expected = {sha256(message.value or b"").hexdigest(): reason for reason, message in bad}
    assert len(expected) == len(bad) == len(items)
    assert {item["sha256"]: item["reason"] for item in items} == expected
    assert (await harness.get("rejected", harness.clerk)).status_code == 403


async def test_an_event_that_the_bus_may_carry_at_most_is_a_leaf(harness):
    overhead = len(harness.message(number=1, data={"note": ""}).value)
    message = harness.message(number=1, data={"note": "x" * (65_535 - overhead)})
    assert len(message.value) == 65_535
    await harness.deliver(message)
    await assert_is_log_of(harness, [message])


async def test_words_that_a_column_cannot_hold_are_still_logged_whole(harness):
    messages = [harness.message(subject="a\x00b", actor="y" * 9000), harness.message(requestid="\x00")]
    await harness.deliver(*messages)
    await assert_is_log_of(harness, messages)


async def test_a_number_or_an_id_used_for_something_else_is_no_repetition(harness):
    first = harness.message(number=1)
    same_number = harness.message(number=1)
    same_id = Message(first.topic, first.key, first.value.replace("数据".encode(), "篡改".encode()))
    await harness.deliver(first)
    await harness.deliver(same_number, same_id)
    assert await harness.bodies_of_others() == [first.value]
    items = (await harness.read("rejected"))["items"]
    assert {item["reason"] for item in items} == {"number-used-twice", "id-used-twice"}


async def test_a_number_used_twice_within_one_batch_is_logged_once(harness):
    first, second = harness.message(number=1), harness.message(number=1)
    await harness.deliver(first, second)
    assert await harness.bodies_of_others() == [first.value]


STEPS = ("lock_log", "_lock_and_check", "deduplicate", "record_rejections", "_grow", "_sign")


def owner_of(harness, step):
    """Return the object or module whose attribute the step is."""
    owners = (harness.sequencer, sequencer_module, sequencer_module.queries)
    return next(owner for owner in owners if hasattr(owner, step))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_between_any_two_steps_loses_nothing_and_doubles_nothing(harness, monkeypatch, step, when):
    first, second = harness.messages(5), harness.messages(300)
    await harness.deliver(*first)
    owner = owner_of(harness, step)
    real = getattr(owner, step)

    async def crash(*arguments):
        if when == "after":
            await real(*arguments)
        raise ZeroDivisionError

    monkeypatch.setattr(owner, step, crash)
    with pytest.raises(ZeroDivisionError):
        await harness.deliver(*second)
    await assert_is_log_of(harness, first)
    monkeypatch.undo()
    await harness.deliver(*second)
    await assert_is_log_of(harness, first + second)


@pytest.mark.parametrize("step", STEPS)
async def test_a_connection_killed_at_any_step_loses_nothing_and_doubles_nothing(harness, monkeypatch, step):
    first, second = harness.messages(5), harness.messages(300)
    await harness.deliver(*first)
    owner = owner_of(harness, step)
    real = getattr(owner, step)

    async def kill(session, *arguments):
        done = await real(session, *arguments)
        await harness.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1 AND state = $2",
            harness.database.name,
            "idle in transaction",
        )
        return done

    monkeypatch.setattr(owner, step, kill)
    with pytest.raises(Unavailable):
        await harness.deliver(*second)
    monkeypatch.undo()
    await deliver_again(harness, second)
    await assert_is_log_of(harness, first + second)


async def deliver_again(harness, messages):
    """As the bus does: until it is taken."""
    for _ in range(20):
        try:
            await harness.deliver(*messages)
        except Unavailable:
            continue
        return
    pytest.fail("the database does not come back")


async def test_a_connection_killed_within_copy_is_an_absent_database(harness, monkeypatch):
    messages = harness.messages(3)
    real = sequencer_module.driver_connection

    async def dead(session):
        driver = await real(session)
        driver.terminate()
        return driver

    monkeypatch.setattr(sequencer_module, "driver_connection", dead)
    with pytest.raises(DatabaseUnavailable):
        await harness.deliver(*messages)
    monkeypatch.undo()
    await deliver_again(harness, messages)
    await assert_is_log_of(harness, messages)


async def test_a_database_that_is_away_refuses_and_takes_all_when_it_is_back(harness):
    messages = harness.messages(20)
    admin = await asyncpg.connect(harness.database.admin_dsn.replace(f"@/{harness.database.name}?", "@/postgres?"))
    try:
        await admin.execute(f"ALTER DATABASE {harness.database.name} CONNECTION LIMIT 0")
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1", harness.database.name
        )
        for _ in range(3):
            with pytest.raises(Unavailable):
                await harness.deliver(*messages)
        assert (await harness.get("checkpoint")).status_code == 503
        await admin.execute(f"ALTER DATABASE {harness.database.name} CONNECTION LIMIT -1")
    finally:
        await admin.close()
    await deliver_again(harness, messages)
    await assert_is_log_of(harness, messages)


async def test_a_caller_that_gives_up_harms_no_other(harness, monkeypatch):
    going = asyncio.Event()
    hold = asyncio.Event()
    real = harness.sequencer._grow

    async def slow(*arguments):
        going.set()
        await hold.wait()
        await real(*arguments)

    monkeypatch.setattr(harness.sequencer, "_grow", slow)
    messages = harness.messages(3)
    leader = asyncio.create_task(harness.deliver(messages[0]))
    await going.wait()
    waiting = [asyncio.create_task(harness.deliver(message)) for message in messages[1:]]
    await asyncio.sleep(0)
    leader.cancel()
    waiting[0].cancel()
    hold.set()
    await waiting[1]
    assert await harness.bodies() == [messages[2].value]
    await harness.deliver(*messages)
    await assert_is_log_of(harness, messages)


async def test_one_delivery_that_cannot_be_committed_does_not_stop_those_beside_it(harness, monkeypatch):
    going, hold, poison = asyncio.Event(), asyncio.Event(), harness.message("/incident")
    real = harness.sequencer._grow

    async def choke(session, tree, fresh):
        if not going.is_set():
            going.set()
            await hold.wait()
        if any(arrival.body == poison.value for arrival in fresh):
            raise ZeroDivisionError
        await real(session, tree, fresh)

    monkeypatch.setattr(harness.sequencer, "_grow", choke)
    messages = harness.messages(4)
    tasks = [
        asyncio.create_task(harness.deliver(message)) for message in (messages[0], messages[1], poison, messages[2])
    ]
    await going.wait()
    hold.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [type(None), type(None), ZeroDivisionError, type(None)]
    assert len(await harness.bodies()) == 3


async def test_stored_tiles_are_those_of_a_tree_computed_from_the_leaves(harness):
    sizes = [1, 3, 252, 1, 255, 256, 700]
    done = 0
    for size in sizes:
        await harness.deliver(*harness.messages(size))
        done += size
        hashes = [leaf_hash(body) for body in await harness.bodies()]
        _, tiles = grow(0, hashes, dict[Tile, bytes]().__getitem__)
        for tile in changed_tiles(0, done):
            answer = await harness.get(tile.path)
            assert (answer.status_code, answer.content) == (200, tiles[tile]), tile.path
    assert await harness.fsck() == (done, [])
