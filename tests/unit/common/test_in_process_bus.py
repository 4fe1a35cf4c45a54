"""What the in-process bus promises beyond the contract: its file survives any cut, and publications cannot tear each other."""

import asyncio
import errno
import os

import pytest

from common.contracts.topics import TOPICS
from common.messaging import in_process
from common.messaging.bus import BusUnavailable, Message
from common.messaging.in_process import InProcessBus, RetainedFileError
from common.messaging.topics import FEED_TOPIC, events_topic, receipts_topic

EVENTS = events_topic("identity")


def entry(key: str, value: bytes | None = b"1") -> Message:
    return Message(FEED_TOPIC, key, value)


async def restarted(directory, *subscribed) -> InProcessBus:
    bus = InProcessBus(TOPICS, directory)
    for group, topic, deliver in subscribed:
        await bus.subscribe(group, [topic], deliver)
    await bus.start()
    return bus


async def kept(bus: InProcessBus) -> list[tuple[str, bytes | None]]:
    batch = await bus.follow(FEED_TOPIC).poll(0)
    return [(message.key, message.value) for message in batch.messages]


async def test_a_file_torn_at_any_byte_gives_back_all_that_was_acknowledged(tmp_path):
    bus = await restarted(tmp_path)
    await bus.publish([entry("a"), entry("b"), entry("账户", "值".encode())])
    acknowledged = await kept(bus)
    whole = (tmp_path / "retained.jsonl").read_bytes()
    await bus.publish([entry("a", b"2"), entry("b", None)])
    await bus.stop()
    torn = (tmp_path / "retained.jsonl").read_bytes()
    for cut in range(len(whole), len(torn) + 1):
        (tmp_path / "retained.jsonl").write_bytes(torn[:cut])
        bus = await restarted(tmp_path)
        now = dict(await kept(bus))
        assert now["账户"] == "值".encode()
        assert now["a"] in (b"1", b"2")
        assert set(now) | {"b"} == {key for key, _ in acknowledged}
        await bus.publish([entry("after", str(cut).encode())])
        await bus.stop()
        bus = await restarted(tmp_path)
        assert dict(await kept(bus)) == now | {"after": str(cut).encode()}, "what follows the tear is readable"
        await bus.stop()


async def test_a_damaged_line_stops_the_start_instead_of_forgetting_a_revocation(tmp_path):
    bus = await restarted(tmp_path)
    await bus.publish([entry("a"), entry("b")])
    await bus.stop()
    path = tmp_path / "retained.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    for damaged in (b"\0" * 40 + b"\n", b"[1]\n", b"3\n", b"\n", lines[0][:-3] + b"\n", b'["xindun.feed","a","%%%"]\n'):
        path.write_bytes(damaged + lines[1])
        with pytest.raises(RetainedFileError, match="line 1"):
            await restarted(tmp_path)


@pytest.mark.parametrize("breaks", ["pwrite", "fsync"])
async def test_a_full_disk_refuses_the_publication_and_harms_nothing(tmp_path, monkeypatch, breaks):
    bus = await restarted(tmp_path)
    await bus.publish([entry("a")])
    real_pwrite, real_fsync = os.pwrite, os.fsync
    full = True

    def pwrite(file, content, position):
        if not full or breaks != "pwrite":
            return real_pwrite(file, content, position)
        if len(content) > 10:
            return real_pwrite(file, bytes(content)[:10], position)
        raise OSError(errno.ENOSPC, "full")

    def fsync(file):
        if full and breaks == "fsync":
            raise OSError(errno.EIO, "broken")
        real_fsync(file)

    monkeypatch.setattr(in_process.os, "pwrite", pwrite)
    monkeypatch.setattr(in_process.os, "fsync", fsync)
    for _ in range(2):
        with pytest.raises(BusUnavailable):
            await bus.publish([entry("b", b"x" * 55)])
    assert await kept(bus) == [("a", b"1")]
    full = False
    await bus.publish([entry("c")])
    await bus.stop()
    bus = await restarted(tmp_path)
    assert await kept(bus) == [("a", b"1"), ("c", b"1")]
    await bus.stop()


async def test_what_a_failed_append_left_is_gone_before_the_next(tmp_path, monkeypatch):
    bus = await restarted(tmp_path)
    real_pwrite, broken = os.pwrite, True

    def pwrite(file, content, position):
        if broken:
            real_pwrite(file, bytes(content)[:200] + b"\n", position)
            raise OSError(errno.ENOSPC, "full")
        return real_pwrite(file, content, position)

    monkeypatch.setattr(in_process.os, "pwrite", pwrite)
    with pytest.raises(BusUnavailable):
        await bus.publish([entry("a", b"x" * 300)])
    broken = False
    await bus.publish([entry("b")])
    after_a_crash = await restarted(tmp_path)
    assert await kept(after_a_crash) == [("b", b"1")]
    await after_a_crash.stop()
    await bus.stop()


async def test_the_file_is_compacted_when_most_of_it_is_past(tmp_path, monkeypatch):
    monkeypatch.setattr(in_process, "COMPACT_AFTER", 20)
    bus = await restarted(tmp_path)
    for number in range(50):
        await bus.publish([entry("beat", str(number).encode()), entry(f"k{number % 5}")])
    await bus.publish([entry("k0", None)])
    await bus.stop()
    path = tmp_path / "retained.jsonl"
    (tmp_path / "retained.new").write_bytes(b"left by a crash in the middle of writing")
    bus = await restarted(tmp_path)
    assert dict(await kept(bus)) == {"beat": b"49"} | {f"k{n}": b"1" for n in range(1, 5)}
    assert len(path.read_bytes().splitlines()) == 5
    assert path.stat().st_mode & 0o777 == 0o600
    await bus.publish([entry("new")])
    await bus.stop()
    bus = await restarted(tmp_path)
    assert "new" in dict(await kept(bus))
    await bus.stop()


async def test_memory_stays_bounded_and_a_follower_keeps_its_place(monkeypatch):
    monkeypatch.setattr(in_process, "COMPACT_AFTER", 50)
    bus = InProcessBus(TOPICS)
    await bus.start()
    follower, last = bus.follow(FEED_TOPIC), {}
    for number in range(1000):
        await bus.publish([entry(f"k{number % 10}", str(number).encode())])
        if number % 20 == 0:
            last |= {m.key: m.value for m in (await follower.poll(0)).messages}
        await bus.publish([Message(receipts_topic("gateway"), "p", b"alive")])
    last |= {m.key: m.value for m in (await follower.poll(0)).messages}
    expected = {f"k{n}": str(990 + n).encode() for n in range(10)}
    assert last == expected
    assert dict(await kept(bus)) == expected
    assert len(bus._logs[FEED_TOPIC]._entries) < 150
    assert len(bus._logs[receipts_topic("gateway")]._entries) <= 150
    await bus.stop()


async def test_nothing_is_taken_before_the_start():
    bus = InProcessBus(TOPICS)
    with pytest.raises(BusUnavailable):
        await bus.publish([entry("a")])
    with pytest.raises(BusUnavailable):
        bus.follow(FEED_TOPIC)
    assert not bus.healthy()


async def test_one_group_that_fails_fails_the_publication_and_repeating_it_reaches_all(tmp_path):
    got: dict[str, list[bytes | None]] = {"good": [], "bad": []}

    async def good(messages):
        got["good"] += [message.value for message in messages]

    async def bad(messages):
        if not got["bad"]:
            got["bad"].append(b"refused")
            raise RuntimeError
        got["bad"] += [message.value for message in messages]

    bus = await restarted(None, ("bad", EVENTS, bad), ("good", EVENTS, good))
    messages = [Message(EVENTS, "k", b"1")]
    with pytest.raises(BusUnavailable):
        await bus.publish(messages)
    await bus.publish(messages)
    assert got == {"good": [b"1", b"1"], "bad": [b"refused", b"1"]}
    await bus.stop()


async def test_a_publication_given_up_is_not_overtaken_by_the_next():
    entered, go_on, seen = asyncio.Event(), asyncio.Event(), []

    async def deliver(messages):
        entered.set()
        if not seen:
            await go_on.wait()
        seen.append([message.value for message in messages])

    bus = await restarted(None, ("group", EVENTS, deliver))
    first = asyncio.create_task(bus.publish([Message(EVENTS, "k", b"1")]))
    await entered.wait()
    first.cancel()
    assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], asyncio.CancelledError)
    second = asyncio.create_task(bus.publish([Message(EVENTS, "k", b"1"), Message(EVENTS, "k", b"2")]))
    assert await asyncio.wait([second], timeout=0.05) == (set(), {second})
    go_on.set()
    await second
    assert seen == [[b"1"], [b"1", b"2"]]
    await bus.stop()


async def test_retained_publications_given_up_leave_whole_lines(tmp_path):
    bus = await restarted(tmp_path)
    acknowledged = []
    for number in range(60):
        publishing = asyncio.create_task(bus.publish([entry(f"k{number}", b"x" * 500)]))
        await asyncio.wait([publishing], timeout=0.0002 * (number % 5))
        publishing.cancel()
        (result,) = await asyncio.gather(publishing, return_exceptions=True)
        if result is None:
            acknowledged.append(f"k{number}")
        await bus.publish([entry("after", str(number).encode())])
    await bus.stop()
    bus = await restarted(tmp_path)
    now = dict(await kept(bus))
    assert set(acknowledged) <= set(now)
    assert now["after"] == b"59"
    await bus.stop()


async def test_a_stop_waits_for_the_publication_in_progress_and_refuses_those_behind_it():
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def deliver(_):
        entered.set()
        await go_on.wait()

    bus = await restarted(None, ("group", EVENTS, deliver))
    first = asyncio.create_task(bus.publish([Message(EVENTS, "k", b"1")]))
    await entered.wait()
    behind = asyncio.create_task(bus.publish([Message(EVENTS, "k", b"2")]))
    await asyncio.wait([behind], timeout=0.01)
    stopping = asyncio.create_task(bus.stop())
    assert await asyncio.wait([stopping], timeout=0.05) == (set(), {stopping})
    go_on.set()
    await stopping
    await first
    with pytest.raises(BusUnavailable):
        await behind


async def test_topics_that_are_no_longer_known_do_not_stop_the_start(tmp_path):
    (tmp_path / "retained.jsonl").write_bytes(b'["xindun.past","a","MQ=="]\n["xindun.feed","b","MQ=="]\n')
    bus = await restarted(tmp_path)
    assert await kept(bus) == [("b", b"1")]
    await bus.stop()
