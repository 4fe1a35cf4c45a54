"""The bus of the embedded platform: calls within one process, with the same contract as Kafka's."""

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

COMPACT_AFTER = 10_000
"""Superseded lines of the retained file, after which the next start compacts it; also messages in memory."""


class RetainedFileError(Exception):
    """A line in the middle of the retained file is unreadable: without it, revocations would be lost."""


class InProcessBus:
    """Publishes by calling every subscriber, and returns when each has committed.

    A crash loses nothing: messages that were not acknowledged stay in the publisher's outbox. It accepts publications
    only after `start`, so that every subscriber can subscribe first. Retained topics are stored in a file of
    `directory`, or in memory without one.
    """

    def __init__(self, topics: Mapping[str, Topic], directory: Path | None = None) -> None:
        self._topics = topics
        self._retained = _RetainedFile(directory / "retained.jsonl") if directory else None
        self._subscribers: dict[str, dict[str, list[MessageHandler]]] = defaultdict(dict)
        self._next_member: dict[tuple[str, str], int] = defaultdict(int)
        self._logs: dict[str, _Log] = {}
        self._waiters: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._publications: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._running = False

    async def start(self) -> None:
        """Load the retained topics. Raises `RetainedFileError`."""
        self._logs = {name: _Log(retained=topic.retained) for name, topic in self._topics.items()}
        if self._retained:
            for message in self._retained.open():
                if message.topic in self._logs:
                    self._logs[message.topic].extend([message])
        self._running = True

    async def stop(self) -> None:
        """Let publications in progress end and wake readers."""
        self._running = False
        if self._publications:
            await asyncio.wait(self._publications)
        for topic in self._waiters:
            self._wake(topic)
        self._subscribers.clear()
        if self._retained:
            self._retained.close()

    async def publish(self, messages: Sequence[Message]) -> None:
        """Append retained messages to the file, then deliver to every group."""
        check_size(messages)
        by_topic: dict[str, list[Message]] = defaultdict(list)
        for message in messages:
            by_topic[message.topic].append(message)
        for topic, batch in by_topic.items():
            if not self._running:
                raise BusUnavailable
            # A publisher that is cancelled neither interrupts a delivery nor lets the next publication overtake it.
            await asyncio.shield(self._task(self._publish_in_order(topic, batch)))

    def _task(self, publication: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(publication)
        self._publications.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._publications.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, in case the publisher was cancelled

    async def _publish_in_order(self, topic: str, batch: list[Message]) -> None:
        async with self._locks[topic]:
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
        for waiter in self._waiters[topic]:
            waiter.set()

    async def _deliver(self, topic: str, batch: list[Message]) -> None:
        calls: list[Coroutine[Any, Any, None]] = []
        for group, members in self._subscribers[topic].items():
            member = self._next_member[topic, group] = (self._next_member[topic, group] + 1) % len(members)
            calls.append(self._call(members[member], batch))
        # Wait for every group: a failure of one must not interrupt another in its transaction.
        for result in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(result, BaseException):
                raise BusUnavailable from result

    @staticmethod
    async def _call(handler: MessageHandler, batch: list[Message]) -> None:
        await handler(batch)

    async def subscribe(
        self,
        group: str,
        topics: Sequence[str],
        handler: MessageHandler,
        *,
        linger: float | None = None,  # noqa: ARG002 - a publisher waits for every receiver here
    ) -> None:
        """Register `handler` as a member of `group`."""
        for topic in topics:
            self._subscribers[topic].setdefault(group, []).append(handler)

    def follow(self, *topics: str, from_end: bool = False) -> "InProcessReader":
        """Return a reader of `topics`. Raises `BusUnavailable` before `start`."""
        if not self._running:
            raise BusUnavailable
        return InProcessReader(self, {topic: self._logs[topic].end if from_end else 0 for topic in topics})

    def healthy(self) -> bool:
        """Whether the bus is started."""
        return self._running

    async def read(self, positions: Mapping[str, int], timeout: float) -> tuple[Batch, dict[str, int]]:
        """Return the messages from the topics' `positions` on, and the positions after them; for `InProcessReader`."""
        if not self._running:
            raise BusUnavailable
        if all(position >= self._logs[topic].end for topic, position in positions.items()):
            await self._wait_for_message(positions, timeout)
            if not self._running:
                raise BusUnavailable
        confirmed_at = time.monotonic()
        found = [message for topic, position in positions.items() for message in self._logs[topic].since(position)]
        return Batch(tuple(found), confirmed_at), {topic: self._logs[topic].end for topic in positions}

    async def _wait_for_message(self, topics: Iterable[str], timeout: float) -> None:
        """Wait until one of `topics` gets a message, the bus stops, or `timeout` seconds pass."""
        waiter = asyncio.Event()
        for topic in topics:
            self._waiters[topic].add(waiter)
        try:
            async with asyncio.timeout(timeout):
                await waiter.wait()
        except TimeoutError:
            pass
        finally:
            for topic in topics:
                self._waiters[topic].discard(waiter)


class InProcessReader:
    """A reading position in each of some topics of an `InProcessBus`."""

    def __init__(self, bus: InProcessBus, positions: dict[str, int]) -> None:
        self._bus, self._positions = bus, positions

    async def poll(self, timeout: float) -> Batch:
        """Return new messages."""
        batch, self._positions = await self._bus.read(self._positions, timeout)
        return batch

    async def close(self) -> None:
        """Do nothing: a reader holds no resources."""


class _Log:
    """The messages of one topic in memory, bounded: heartbeats alone would fill the memory of a long-lived process."""

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
        """Reduce the older half to the last value of each key if the topic is retained, else drop it.

        The newer half stays complete, with deletions, for readers that lag a little.
        """
        half = len(self._entries) // 2
        older, newer = self._entries[:half], self._entries[half:]
        last = {entry[1].key: entry for entry in older} if self._retained else {}
        kept = [entry for entry in older if last.get(entry[1].key) is entry and entry[1].value is not None]
        self._entries = kept + newer
        self._compact_at = len(self._entries) + COMPACT_AFTER


class _RetainedFile:
    """The messages of retained topics, one JSON line each; complete lines up to the last acknowledged one count."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._end = 0

    def open(self) -> list[Message]:
        """Return the last message of each key, in order. Raises `RetainedFileError`, `OSError`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = self._path.read_bytes() if self._path.exists() else b""
        # A crash truncated what follows the last line end: it was never acknowledged, so its publisher still has it.
        self._end = content.rfind(b"\n") + 1
        lines = content[: self._end].splitlines()
        live: dict[tuple[str, str], Message] = {}
        for number, line in enumerate(lines, 1):
            try:
                topic, key, value = orjson.loads(line)
                message = Message(topic, key, None if value is None else base64.b64decode(value, validate=True))
            except (ValueError, TypeError) as error:
                raise RetainedFileError(f"{self._path.name}, line {number}") from error
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
        rewritten = self._path.with_suffix(".new")
        rewritten.unlink(missing_ok=True)
        with os.fdopen(os.open(rewritten, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        rewritten.replace(self._path)
        self._end = len(content)

    def _sync_directory(self) -> None:
        """Make the file's name durable: otherwise a power failure could restore the file of before the last rewrite."""
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
        """Return when the messages are on disk. Raises `OSError`: then none of them counts as written."""
        assert self._file is not None
        # Remove the rest of a failed append: in the middle of the file it would make it unreadable.
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
