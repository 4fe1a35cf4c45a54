"""Events of audit: evidence exports, and what the checks of the log found."""

from datetime import datetime
from uuid import UUID

from common.messaging.events import Event, Refusal

PUBLISHER = "audit"


class AccessRefused(Refusal, Event, publisher=PUBLISHER, name="access.refused", key="subject"):
    """Audit refused a request."""


class EvidenceExported(Event, publisher=PUBLISHER, name="evidence.exported", key="package_id"):
    """A person exported an evidence package; `size` is that of the log at its checkpoint (clause 12.4)."""

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
    """The log rejected a message on `topic`, for example because its `source` does not own the topic.

    `count` numbers it within topic, reason and day (UTC). The first ten are published each, then every tenfold.
    """

    topic: str
    reason: str
    source: str | None
    digest: str
    bytes: int
    count: int
    found_at: datetime


class IntegrityBroken(Event, publisher=PUBLISHER, name="integrity.broken", key="log"):
    """The stored log differs from the signed one; audit appends and proves nothing until a restart finds it intact."""

    log: str
    detail: str
    found_at: datetime
