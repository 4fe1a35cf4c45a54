"""The bus of the embedded platform: a call within one process, with the same promises as Kafka's."""

import asyncio
import base64
import errno
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import orjson

from common.bus import Batch, BusUnavailable, Deliver, Message
from common.bus.topics import TOPICS

__all__ = ["InProcessBus"]

COMPACT_AFTER = 10_000
"""Lines of the retained file beyond the live ones, after which the next start writes it anew."""


class InProcessBus:
    """Publishes by calling every subscriber, and acknowledges when each has committed.

    So nothing is held in memory that a crash could lose: what was not acknowledged stays in the publisher's outbox.
    Subscribe everybody before `start`: until then it takes no publication, so that none passes an absent subscriber by.
    Retained topics live in a file of `directory` (none: in memory, for tests that do not restart).
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._path = directory / "retained.jsonl" if directory else None
        self._file: int | None = None
        self._subscribers: dict[str, dict[str, list[Deliver]]] = defaultdict(dict)
        self._turn: dict[tuple[str, str], int] = defaultdict(int)
        self._log: dict[str, list[Message]] = {}
        self._start: dict[str, int] = {}
        self._news: dict[str, asyncio.Event] = {}
        self._delivering: set[asyncio.Task[None]] = set()
        self._order: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running = False

    async def start(self) -> None:
        """Load the retained topics."""
        self._log = {name: [] for name in TOPICS}
        self._start = dict.fromkeys(TOPICS, 0)
        self._news = {name: asyncio.Event() for name in TOPICS}
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._load(self._path)
            self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._running = True

    def _load(self, path: Path) -> None:
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # torn by a crash: it was never acknowledged, so its publisher still has it
        live: dict[tuple[str, str], Message] = {}
        for line in lines:
            topic, key, value = orjson.loads(line)
            live.pop((topic, key), None)
            if value is not None:
                live[topic, key] = Message(topic, key, base64.b64decode(value))
        for message in live.values():
            self._log[message.topic].append(message)
        if path.exists() and (len(lines) > len(live) + COMPACT_AFTER or not self._ends_whole(path)):
            fresh = path.with_suffix(".new")
            with fresh.open("wb") as file:
                file.writelines(self._line(message) for message in live.values())
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(path)

    @staticmethod
    def _ends_whole(path: Path) -> bool:
        content = path.read_bytes()
        return not content or content.endswith(b"\n")

    @staticmethod
    def _line(message: Message) -> bytes:
        value = None if message.value is None else base64.b64encode(message.value).decode()
        return orjson.dumps([message.topic, message.key, value]) + b"\n"

    async def stop(self) -> None:
        """End deliveries and wake followers."""
        self._running = False
        if self._delivering:
            await asyncio.wait(self._delivering)
        for news in self._news.values():
            news.set()
        if self._file is not None:
            for topic in [name for name, declared in TOPICS.items() if declared.retained]:
                async with self._order[topic]:
                    pass  # an append in progress ends before its file is closed
            os.close(self._file)
            self._file = None

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append retained messages, then let every group commit the others."""
        by_topic: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic].append(message)
        for topic, batch in by_topic.items():
            async with self._order[topic]:
                if not self._running:
                    raise BusUnavailable
                if TOPICS[topic].retained and self._file is not None:
                    await asyncio.to_thread(self._append, self._file, b"".join(map(self._line, batch)))
                await self._deliver(topic, batch)
                self._log[topic].extend(batch)
                self._trim(topic)
                self._news[topic].set()
                self._news[topic] = asyncio.Event()

    @staticmethod
    def _append(file: int, lines: bytes) -> None:
        end = os.fstat(file).st_size
        try:
            if os.write(file, lines) != len(lines):
                raise OSError(errno.ENOSPC, "retained file")
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, end)  # half a line in the middle would make the file unreadable
            raise BusUnavailable from error

    async def _deliver(self, topic: str, batch: list[Message]) -> None:
        calls = []
        for group, members in self._subscribers[topic].items():
            turn = self._turn[topic, group] = (self._turn[topic, group] + 1) % len(members)
            calls.append(asyncio.ensure_future(self._call(members[turn], batch)))
        if not calls:
            return
        self._delivering.update(calls)
        try:
            # Every group is let to end: one that fails must not cut another off in the middle of its transaction.
            results = await asyncio.shield(asyncio.gather(*calls, return_exceptions=True))
        finally:
            for call in calls:
                call.add_done_callback(self._delivering.discard)
        for result in results:
            if isinstance(result, BaseException):
                raise BusUnavailable from result

    @staticmethod
    async def _call(deliver: Deliver, batch: list[Message]) -> None:
        await deliver(batch)

    def _trim(self, topic: str) -> None:
        """Keep memory bounded: followers of topics that are not retained only want what is new."""
        log = self._log[topic]
        if len(log) > COMPACT_AFTER and not TOPICS[topic].retained:
            dropped = len(log) - COMPACT_AFTER // 2
            del log[:dropped]
            self._start[topic] += dropped

    async def subscribe(self, group: str, topics: Sequence[str], deliver: Deliver) -> None:
        """Register `deliver` as a member of `group`."""
        for topic in topics:
            self._subscribers[topic].setdefault(group, []).append(deliver)

    def follow(self, topic: str, *, from_end: bool = False) -> "InProcessFollower":
        """Return a follower of `topic`. Raises `BusUnavailable` before `start`."""
        if not self._running:
            raise BusUnavailable
        position = self._start[topic] + len(self._log[topic]) if from_end else self._start[topic]
        return InProcessFollower(self, topic, position)

    def delivering(self) -> bool:
        """Whether the bus is open: a call cannot hang unseen."""
        return self._running

    async def read(self, topic: str, position: int, timeout: float) -> tuple[Batch, int]:
        """Return what stands at `position` and the position after it; used by the follower."""
        if not self._running:
            raise BusUnavailable
        news = self._news[topic]
        if position >= self._start[topic] + len(self._log[topic]):
            try:
                async with asyncio.timeout(timeout):
                    await news.wait()
            except TimeoutError:
                pass
            if not self._running:
                raise BusUnavailable
        confirmed_at = time.monotonic()
        begin = max(0, position - self._start[topic])
        messages = tuple(self._log[topic][begin:])
        return Batch(messages, confirmed_at), self._start[topic] + begin + len(messages)


class InProcessFollower:
    """A reading position in one topic of an `InProcessBus`."""

    def __init__(self, bus: InProcessBus, topic: str, position: int) -> None:
        self._bus, self._topic, self._position = bus, topic, position

    async def poll(self, timeout: float) -> Batch:
        """Return what is new."""
        batch, self._position = await self._bus.read(self._topic, self._position, timeout)
        return batch

    async def close(self) -> None:
        """Nothing is held."""
