"""The bus of the embedded platform: a call within one process, with the same promises as Kafka's."""

import asyncio
import base64
import os
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import orjson

from common.messaging.bus import Batch, BusUnavailable, Message, MessageHandler, check_size
from common.messaging.topics import Topic

__all__ = ["InProcessBus", "RetainedFileDamaged"]

COMPACT_AFTER = 10_000
"""Lines of the retained file beyond the live ones, after which the next start writes it anew; messages in memory, too."""


class RetainedFileDamaged(Exception):  # noqa: N818 - says what is
    """A line in the middle of the retained file cannot be read: to go on would be to forget revocations."""


class InProcessBus:
    """Publishes by calling every subscriber, and acknowledges when each has committed.

    So nothing is held in memory that a crash could lose: what was not acknowledged stays in the publisher's outbox.
    Subscribe everybody before `start`: until then it takes no publication, so that none passes an absent subscriber by.
    Retained topics live in a file of `directory` (none: in memory, for tests that do not restart).
    """

    def __init__(self, topics: Mapping[str, Topic], directory: Path | None = None) -> None:
        self._topics = topics
        self._retained = _RetainedFile(directory / "retained.jsonl") if directory else None
        self._subscribers: dict[str, dict[str, list[MessageHandler]]] = defaultdict(dict)
        self._turn: dict[tuple[str, str], int] = defaultdict(int)
        self._logs: dict[str, _Log] = {}
        self._waiting: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._carrying: set[asyncio.Task[None]] = set()
        self._order: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running = False

    async def start(self) -> None:
        """Load the retained topics. Raises `RetainedFileDamaged`."""
        self._logs = {name: _Log(retained=topic.retained) for name, topic in self._topics.items()}
        if self._retained:
            for message in self._retained.open():
                if message.topic in self._logs:
                    self._logs[message.topic].extend([message])
        self._running = True

    async def stop(self) -> None:
        """Let publications in progress end and wake followers."""
        self._running = False
        if self._carrying:
            await asyncio.wait(self._carrying)
        for topic in self._waiting:
            self._wake(topic)
        self._subscribers.clear()
        if self._retained:
            self._retained.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append retained messages, then let every group commit the others."""
        check_size(messages)
        by_topic: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic].append(message)
        for topic, batch in by_topic.items():
            if not self._running:
                raise BusUnavailable
            # A publisher that gives up does not cut a delivery off, nor lets the next publication overtake it.
            await asyncio.shield(self._task(self._carry(topic, batch)))

    def _task(self, carrying: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(carrying)
        self._carrying.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._carrying.discard(task)
        if not task.cancelled():
            task.exception()  # seen: when its publisher gave up nobody else would look

    async def _carry(self, topic: str, batch: list[Message]) -> None:
        async with self._order[topic]:
            if not self._running:
                raise BusUnavailable
            if self._topics[topic].retained and self._retained:
                try:
                    await asyncio.to_thread(self._retained.append, batch)
                except OSError as error:
                    raise BusUnavailable from error
            await self._deliver(topic, batch)
            self._logs[topic].extend(batch)
            self._wake(topic)

    def _wake(self, topic: str) -> None:
        for waiting in self._waiting[topic]:
            waiting.set()

    async def _deliver(self, topic: str, batch: list[Message]) -> None:
        calls: list[Coroutine[Any, Any, None]] = []
        for group, members in self._subscribers[topic].items():
            turn = self._turn[topic, group] = (self._turn[topic, group] + 1) % len(members)
            calls.append(self._call(members[turn], batch))
        # Every group is let to end: one that fails must not cut another off in the middle of its transaction.
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                raise BusUnavailable from result

    @staticmethod
    async def _call(deliver: MessageHandler, batch: list[Message]) -> None:
        await deliver(batch)

    async def subscribe(
        self,
        group: str,
        topics: Sequence[str],
        deliver: MessageHandler,
        *,
        linger: float | None = None,  # noqa: ARG002 - here each publisher waits for every receiver
    ) -> None:
        """Register `deliver` as a member of `group`."""
        for topic in topics:
            self._subscribers[topic].setdefault(group, []).append(deliver)

    def follow(self, *topics: str, from_end: bool = False) -> "InProcessFollower":
        """Return a follower of `topics`. Raises `BusUnavailable` before `start`."""
        if not self._running:
            raise BusUnavailable
        return InProcessFollower(self, {topic: self._logs[topic].end if from_end else 0 for topic in topics})

    def healthy(self) -> bool:
        """Whether the bus is open: a call cannot hang unseen."""
        return self._running

    async def read(self, positions: Mapping[str, int], timeout: float) -> tuple[Batch, dict[str, int]]:
        """Return what stands at the topics' `positions` and the positions after it; used by the follower."""
        if not self._running:
            raise BusUnavailable
        if all(position >= self._logs[topic].end for topic, position in positions.items()):
            await self._news(positions, timeout)
            if not self._running:
                raise BusUnavailable
        confirmed_at = time.monotonic()
        found = [message for topic, position in positions.items() for message in self._logs[topic].since(position)]
        return Batch(tuple(found), confirmed_at), {topic: self._logs[topic].end for topic in positions}

    async def _news(self, topics: Iterable[str], timeout: float) -> None:
        """Wait until something was published to one of `topics`, or the bus stops, or `timeout` seconds passed."""
        waiting = asyncio.Event()
        for topic in topics:
            self._waiting[topic].add(waiting)
        try:
            async with asyncio.timeout(timeout):
                await waiting.wait()
        except TimeoutError:
            pass
        finally:
            for topic in topics:
                self._waiting[topic].discard(waiting)


class InProcessFollower:
    """A reading position in each of some topics of an `InProcessBus`."""

    def __init__(self, bus: InProcessBus, positions: dict[str, int]) -> None:
        self._bus, self._positions = bus, positions

    async def poll(self, timeout: float) -> Batch:
        """Return what is new."""
        batch, self._positions = await self._bus.read(self._positions, timeout)
        return batch

    async def close(self) -> None:
        """Nothing is held."""


class _Log:
    """What followers of one topic can read, bounded: heartbeats alone would fill the memory of a long-lived process."""

    def __init__(self, *, retained: bool) -> None:
        self._retained = retained
        self._entries: list[tuple[int, Message]] = []
        self._compact_at = COMPACT_AFTER
        self.end = 0

    def extend(self, messages: Sequence[Message]) -> None:
        self._entries += enumerate(messages, self.end)
        self.end += len(messages)
        if len(self._entries) > self._compact_at:
            self._compact()

    def since(self, position: int) -> tuple[Message, ...]:
        begin = bisect_left(self._entries, position, key=itemgetter(0))
        return tuple(message for _, message in self._entries[begin:])

    def _compact(self) -> None:
        """Of the older half keep the last value of each key, if the topic is retained, else nothing.

        The newer half stays whole, deletions too, for followers that are a little behind.
        """
        half = len(self._entries) // 2
        older, newer = self._entries[:half], self._entries[half:]
        last = {entry[1].key: entry for entry in older} if self._retained else {}
        kept = [entry for entry in older if last.get(entry[1].key) is entry and entry[1].value is not None]
        self._entries = kept + newer
        self._compact_at = len(self._entries) + COMPACT_AFTER


class _RetainedFile:
    """The retained topics' messages, a JSON line each, of which only whole lines up to the last acknowledged one count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._end = 0

    def open(self) -> list[Message]:
        """Return the live messages, in order. Raises `RetainedFileDamaged`, `OSError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = self._path.read_bytes() if self._path.exists() else b""
        # What follows the last line end was torn by a crash: never acknowledged, so its publisher still has it.
        self._end = content.rfind(b"\n") + 1
        lines = content[: self._end].splitlines()
        live: dict[tuple[str, str], Message] = {}
        for number, line in enumerate(lines, 1):
            try:
                topic, key, value = orjson.loads(line)
                message = Message(topic, key, None if value is None else base64.b64decode(value, validate=True))
            except (ValueError, TypeError) as error:
                raise RetainedFileDamaged(f"{self._path.name}, line {number}") from error
            live.pop((topic, key), None)
            if message.value is not None:
                live[topic, key] = message
        if len(lines) > len(live) + COMPACT_AFTER:
            self._rewrite(list(live.values()))
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, self._end)
        os.fsync(self._file)
        self._sync_directory()
        return list(live.values())

    def _rewrite(self, messages: Sequence[Message]) -> None:
        content = b"".join(map(self._line, messages))
        fresh = self._path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        self._end = len(content)

    def _sync_directory(self) -> None:
        """Make the file's name durable: without it a power cut could bring the file before the last rewrite back."""
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @staticmethod
    def _line(message: Message) -> bytes:
        value = None if message.value is None else base64.b64encode(message.value).decode()
        return orjson.dumps([message.topic, message.key, value]) + b"\n"

    def append(self, messages: Sequence[Message]) -> None:
        """Return when the messages are on the disk. Raises `OSError`: then they are as good as never written."""
        assert self._file is not None
        # What a failed append left behind would stand in the middle of the file, and make it unreadable.
        os.ftruncate(self._file, self._end)
        lines = memoryview(b"".join(map(self._line, messages)))
        written = 0
        while written < len(lines):
            written += os.pwrite(self._file, lines[written:], self._end + written)
        os.fsync(self._file)
        self._end += written

    def close(self) -> None:
        if self._file is not None:
            os.ftruncate(self._file, self._end)
            os.close(self._file)
            self._file = None
