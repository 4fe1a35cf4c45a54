"""Every topic of the platform, declared once: who writes it, how many partitions, how long it is kept."""

from dataclasses import dataclass
from datetime import timedelta

__all__ = ["FEED", "RECEIPTS", "TOPICS", "Topic", "events_of", "owner_of"]

PUBLISHERS = ("identity", "datashare", "incident", "audit", "gateway")


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: `owner` alone writes it (None: every point does); a retained topic keeps the last value of each key."""

    name: str
    owner: str | None
    partitions: int = 1
    retained: bool = False
    kept: timedelta | None = timedelta(days=30)


FEED = Topic("xindun.feed", owner="identity", retained=True, kept=None)
"""The revocation feed: cutoffs, verification keys, policies. One partition, so that its end is one number."""

RECEIPTS = Topic("xindun.receipts", owner=None, kept=timedelta(days=1))
"""What enforcement points answer to the feed: that they live, and which cutoff they have applied."""


def events_of(publisher: str) -> str:
    """Return the name of the topic that carries a publisher's events."""
    return f"xindun.{publisher}.events"


TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        FEED,
        RECEIPTS,
        *(Topic(events_of(publisher), owner=publisher, partitions=4) for publisher in PUBLISHERS),
    )
}


def owner_of(topic: str) -> str | None:
    """Return the only publisher that may write `topic`, or None when every point may."""
    return TOPICS[topic].owner
