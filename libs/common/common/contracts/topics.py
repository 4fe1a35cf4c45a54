"""Every topic of the platform, declared once: who writes it, who reads it, what orders it, how long it is kept.

Created and checked by `python -m deploy.setup_commands topics`, the rights on the brokers too: nothing about a topic is said
anywhere else.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

__all__ = [
    "FEED",
    "GROUPS",
    "OPERATOR",
    "PUBLISHERS",
    "RECEIPTS",
    "TOPICS",
    "Topic",
    "events_topic",
    "member_name",
    "partitions_of",
    "receipts_topic",
    "topic_owner",
]

PUBLISHERS = ("identity", "datashare", "incident", "audit", "gateway")
"""The members of the platform, each a principal of its own on the bus."""
OPERATOR = "operator"
"""Who looks at what the bus holds and how far everybody is, and writes nothing."""
GROUPS = ("identity", "datashare", "incident", "audit")
"""The members that receive in a group, which bears their name; the gateway only follows."""

KEYS = "the aggregate's id"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic: `owner` alone writes it, `readers` alone read it; a retained topic keeps the last value of each key."""

    name: str
    owner: str
    readers: frozenset[str] = frozenset()
    key: str = KEYS
    """What orders the messages, and in a retained topic is replaced: in words."""
    partitions: int = 1
    retained: bool = False
    kept: timedelta | None = timedelta(days=30)


def events_topic(publisher: str) -> str:
    """Return the name of the topic that carries a publisher's events."""
    return f"xindun.{publisher}.events"


def receipts_topic(member: str) -> str:
    """Return the name of the topic on which the enforcement points of a member answer the feed."""
    return f"xindun.{member}.receipts"


def member_name(point: str) -> str:
    """Return whose enforcement point it is: points are called `<member>-<instance>`."""
    return point.partition("-")[0]


def _events(publisher: str, *readers: str) -> Topic:
    """Audit reads all that anybody says, itself included."""
    return Topic(events_topic(publisher), owner=publisher, readers=frozenset(readers) | {"audit"}, partitions=4)


FEED = Topic(
    "xindun.feed",
    owner="identity",
    readers=frozenset(PUBLISHERS) | {OPERATOR},
    key="the subject of the cutoff, the id of the verification key, name and version of the policy",
    retained=True,
    kept=None,
)
"""The revocation feed: cutoffs, verification keys, policies. One partition, so that its end is one number."""

RECEIPTS = tuple(
    Topic(
        receipts_topic(member),
        owner=member,
        readers=frozenset({"identity", OPERATOR}),
        key="the enforcement point",
        kept=timedelta(days=1),
    )
    for member in PUBLISHERS
)
"""What enforcement points answer to the feed: that they live, and which cutoff they have applied.

A topic for each member, because no member may answer for another's points.
"""

EVENTS = (
    _events("identity", "datashare", "incident"),
    _events("datashare", "identity", "incident"),
    _events("incident", "identity", "datashare"),
    _events("audit"),
    _events("gateway"),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in (FEED, *RECEIPTS, *EVENTS)}


def topic_owner(topic: str) -> str:
    """Return the only publisher that may write `topic`."""
    return TOPICS[topic].owner


def partitions_of(topics: Iterable[str]) -> list[tuple[str, int]]:
    """Return every partition of `topics`."""
    return [(topic, number) for topic in topics for number in range(TOPICS[topic].partitions)]
