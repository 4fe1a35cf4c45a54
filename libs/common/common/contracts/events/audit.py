"""Events of audit: evidence exports, and what the checks of the log found."""

from datetime import datetime
from uuid import UUID

from common.messaging.events import Event, Refusal

PUBLISHER = "audit"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """Somebody was refused at audit."""


class EvidenceExported(Event, publisher=PUBLISHER, name="evidence.exported", key="package_id"):
    """An evidence package left: who took it, why, and the log size that it stands on (clause 12.4)."""

    package_id: UUID
    exported_by: str
    purpose: str
    size: int
    records: int
    digest: str


class GapFound(Event, publisher=PUBLISHER, name="gap.found", key="producer"):
    """Numbers of a producer are missing between `after` and `before`."""

    producer: str
    after: int
    before: int
    found_at: datetime


class ProducerSilent(Event, publisher=PUBLISHER, name="producer.silent", key="producer"):
    """A producer sent neither an event nor a heartbeat for longer than its term."""

    producer: str
    last_heard_at: datetime


class AnomalyDetected(Event, publisher=PUBLISHER, name="anomaly.detected", key="topic"):
    """A message on `topic` is nothing that the log can take, say because another than the topic's owner is its `source`.

    `count` says the how manyth it is of its topic, reason and day (UTC). The first ten are told each, then every tenfold.
    """

    topic: str
    reason: str
    source: str | None
    digest: str
    bytes: int
    count: int
    found_at: datetime


class IntegrityBroken(Event, publisher=PUBLISHER, name="integrity.broken", key="log"):
    """What is stored of the log is not what was signed; audit appends and proves nothing until somebody has looked."""

    log: str
    detail: str
    found_at: datetime
