"""The bus: the only port of our own with two implementations, and what both of them promise.

`in_process.py` serves the embedded platform and most tests, `kafka/` everything else; one contract suite runs against
both (`tests/contracts/test_bus.py`). Subscribe before `start`, so that no message passes a subscriber by.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from common.problems import Unavailable

__all__ = ["MAX_MESSAGE_BYTES", "Batch", "Bus", "BusUnavailable", "Follower", "Message", "MessageHandler", "check_size"]

MAX_MESSAGE_BYTES = 1_000_000
"""Most bytes of a key and value together; the brokers' own bound is a little higher."""


class BusUnavailable(Unavailable):
    """The bus did not take or give messages now; the caller keeps them and tries again."""

    slug = "bus-unavailable"
    zh = "消息总线暂不可用"
    en = "The message bus is not available now"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: `key` orders (same key, same order), `value` None deletes the key of a retained topic."""

    topic: str
    key: str
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Batch:
    """What a follower read: `messages` in order, and `confirmed_at`.

    `confirmed_at` is `time.monotonic()` of a moment *before* the bus was asked and answered that nothing lies beyond
    these messages; None when it did not say so. Whoever has applied the batch knows everything that was published
    before `confirmed_at`: a process that was stopped in between carries an old time, and so knows that it is stale.
    """

    messages: tuple[Message, ...]
    confirmed_at: float | None
    reset: bool = False
    """Whether it was read from the beginning, or the end, of what may be another log than the one before."""


def check_size(messages: Sequence[Message]) -> None:
    """Raise `ValueError` on a message that no bus would take."""
    for message in messages:
        if len(message.value or b"") + len(message.key.encode()) > MAX_MESSAGE_BYTES:
            raise ValueError(f"a message of {message.topic} is over {MAX_MESSAGE_BYTES} bytes")


class Follower(Protocol):
    """Reads every message of some topics, alone, without a group."""

    async def poll(self, timeout: float) -> Batch:
        """Return what is new, waiting up to `timeout` seconds; an empty batch with `confirmed_at` says "nothing new".

        Raises `BusUnavailable` when the bus cannot be asked; the next call tries again from the same position.
        """

    async def close(self) -> None:
        """Stop reading."""


MessageHandler = Callable[[Sequence[Message]], Awaitable[None]]
"""Takes messages of one topic in order. Returning says: all are committed, never show them again. Raising: show them again."""


class Bus(Protocol):
    """Publish, subscribe in a group, follow alone."""

    async def start(self) -> None:
        """Connect. Raises `BusUnavailable`."""

    async def stop(self) -> None:
        """Let deliveries in progress end, then disconnect. Subscriptions and followers end with it."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Return when the bus holds all `messages` durably, in order per key.

        Raises `BusUnavailable`: then some may be held and some not; publishing all again is safe because receivers
        recognise what they had. Raises `ValueError` when one is over `MAX_MESSAGE_BYTES`: then none is held.
        """

    async def subscribe(
        self, group: str, topics: Sequence[str], deliver: MessageHandler, *, linger: float | None = None
    ) -> None:
        """Give each message of `topics` to one member of `group`, at least once, from the topic's beginning.

        Messages of one topic and key come in order. A raise of `deliver` is followed by a back-off and the same
        messages again; other topics go on meanwhile. For `linger` seconds messages may wait for others, where a
        delivery costs the receiver more than a message.
        """

    def follow(self, *topics: str, from_end: bool = False) -> Follower:
        """Return a follower of `topics`, from their first retained message, or only of what comes after now.

        What it confirms holds for all of them together; order holds per topic and key.
        """

    def healthy(self) -> bool:
        """Whether this bus's subscriptions are alive: polled within the watchdog's term, no partition lost."""
