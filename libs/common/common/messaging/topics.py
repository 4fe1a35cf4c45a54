"""Topics of the bus: their names, and the properties that a bus needs of each."""

from dataclasses import dataclass
from datetime import timedelta

FEED_TOPIC = "xindun.feed"
"""The revocation feed: cutoffs, verification keys, policies."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: only `owner` writes it, only `readers` read it; a retained topic keeps the last value of each key."""

    name: str
    owner: str
    readers: frozenset[str] = frozenset()
    key: str = "the aggregate's id"
    """In words: the key that orders messages; a retained topic replaces messages of the same key."""
    partitions: int = 1
    retained: bool = False
    kept: timedelta | None = timedelta(days=30)


def events_topic(publisher: str) -> str:
    """Return the name of the topic that carries a publisher's events."""
    return f"xindun.{publisher}.events"


def receipts_topic(member: str) -> str:
    """Return the name of the topic on which a member's enforcement points acknowledge the feed."""
    return f"xindun.{member}.receipts"


def topic_owner(topic: str) -> str:
    """Return the member that owns an events topic or a receipts topic."""
    return topic.split(".")[1]


def member_name(point: str) -> str:
    """Return the member of an enforcement point: points are called `<member>-<instance>`."""
    return point.partition("-")[0]
