"""Every topic of the platform, declared once: owner, readers, key, partitions, retention.

`python -m deploy.setup_commands topics` creates topics and ACLs from this declaration, and checks them against it.
"""

from datetime import timedelta

from common.contracts.services import MEMBERS
from common.messaging.topics import FEED_TOPIC, Topic, events_topic, receipts_topic

OPERATOR = "operator"
"""The principal of the operators' command line: it describes topics and groups, and writes nothing."""

PRINCIPALS = (*MEMBERS, OPERATOR)
"""Every principal of the bus that has a password of its own, beside the super user."""


def _events(publisher: str, *readers: str) -> Topic:
    """Return a publisher's topic; audit reads all of them, its own included."""
    return Topic(events_topic(publisher), owner=publisher, readers=frozenset(readers) | {"audit"}, partitions=4)


FEED = Topic(
    FEED_TOPIC,
    owner="identity",
    readers=frozenset(PRINCIPALS),
    key="the subject of the cutoff, the id of the verification key, name and version of the policy",
    retained=True,
    kept=None,
)
"""One partition, so that its end is one number."""

RECEIPTS = tuple(
    Topic(
        receipts_topic(member),
        owner=member,
        readers=frozenset({"identity", OPERATOR}),
        key="the enforcement point",
        kept=timedelta(days=1),
    )
    for member in MEMBERS
)
"""Acknowledgements of enforcement points: their heartbeats, and the cutoffs that they applied.

Each member has its own topic, so that no member can acknowledge for another's points.
"""

EVENTS = (
    _events("identity", "datashare", "incident"),
    _events("datashare", "identity", "incident"),
    _events("incident", "identity", "datashare"),
    _events("audit"),
    _events("gateway"),
)

TOPICS: dict[str, Topic] = {topic.name: topic for topic in (FEED, *RECEIPTS, *EVENTS)}
