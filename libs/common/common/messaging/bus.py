"""The bus: a protocol with two implementations that keep the same contract.

`in_process.py` serves the embedded platform and most tests, `kafka/` everything else; one contract suite tests both
(`tests/contracts/test_bus.py`). Subscribe before `start`, so that no subscriber misses a message.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.problems import Unavailable

MAX_MESSAGE_BYTES = 1_000_000
"""Bytes of key and value together; the brokers' own limit is a little higher."""


class BusUnavailable(Unavailable):
    """The bus accepts or delivers no messages now; the caller keeps its messages and retries."""

    slug = "bus-unavailable"
    zh = "消息总线暂不可用"
    en = "The message bus is not available now"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: messages of the same key keep their order; `value` None deletes the key of a retained topic."""

    topic: str
    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader returns: `messages` in order, and `confirmed_at`.

    `confirmed_at` is `time.monotonic()` *before* the request in which the bus confirmed that no further messages exist;
    None without such a confirmation. A reader that has applied the batch knows everything that was published before
    `confirmed_at`. A process that was stopped in between has an old time, which shows that it is stale.
    """

    messages: tuple[Message, ...]
    confirmed_at: float | None
    reset: bool = False
    """True when the reader's position was reset, for example because the topic was recreated."""


def check_size(messages: Sequence[Message]) -> None:
    """Raise `ValueError` if a message is over `MAX_MESSAGE_BYTES`."""
    for message in messages:
        if len(message.value or b"") + len(message.key.encode()) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {message.topic} is over {MAX_MESSAGE_BYTES} bytes")


class TopicReader(Protocol):
    """Reads every message of its topics, without a group."""

    async def poll(self, timeout: float) -> Batch:
        """Return new messages, after at most `timeout` seconds; an empty batch with `confirmed_at` means "no news".

        Raises `BusUnavailable` while the bus does not answer; the next call continues at the same position.
        """

    async def close(self) -> None:
        """Stop reading."""


MessageHandler = Callable[[Sequence[Message]], Awaitable[None]]
"""Handles messages of one topic in order. Return: all are committed, never deliver them again. Raise: deliver again."""


class Bus(Protocol):
    """Publish; subscribe in a group; read without a group."""

    async def start(self) -> None:
        """Connect. Raises `BusUnavailable`."""

    async def stop(self) -> None:
        """Let deliveries in progress end, then disconnect. This ends subscriptions and readers."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the bus holds all `messages` durably, in order per key.

        Raises `BusUnavailable`: then the bus may hold some of them; publishing all again is safe, because receivers
        recognise duplicates. Raises `ValueError` if one is over `MAX_MESSAGE_BYTES`: then it holds none.
        """

    async def subscribe(
        self, group: str, topics: Sequence[str], handler: MessageHandler, *, linger: float | None = None
    ) -> None:
        """Deliver each message of `topics` to one member of `group`, at least once, from the topic's beginning.

        Messages of one topic and key come in order. If `handler` raises, the same messages follow after a back-off;
        other topics go on meanwhile. Messages may wait `linger` seconds for others, to make deliveries fewer.
        """

    def follow(self, *topics: str, from_end: bool = False) -> TopicReader:
        """Return a reader of `topics`, from their first retained message, or from their present end.

        Its confirmation covers all topics together; order holds per topic and key.
        """

    def healthy(self) -> bool:
        """Whether all subscriptions are alive: polled within the watchdog's timeout, no partition lost."""
