"""Stores, counts and publishes rejected messages, within limits, so that a flood fills neither database nor warnings."""

from collections.abc import Sequence
from datetime import UTC, datetime

import prometheus_client
import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import queries
from audit.log.entries import Reason, Rejection
from common.contracts.events.audit import AnomalyDetected
from common.messaging import outbox

MAX_STORED_REJECTIONS = 1_000
"""Rejections of one topic and reason that are stored each day; later ones are only counted."""
MAX_SINGLE_ANOMALIES = 10
"""Of one topic, reason and day, the first rejections are published one by one, later ones at every power of ten."""

REJECTED = prometheus_client.Counter(
    "xindun_audit_rejected_total", "Messages that could not become leaves, each once", ["topic", "reason"]
)

log = structlog.get_logger()

RejectionKind = tuple[str, Reason]
"""Topic and reason."""


async def record_rejections(
    session: AsyncSession, rejections: Sequence[Rejection], now: datetime
) -> dict[RejectionKind, int]:
    """Store and publish the new rejections (clause 7.4); return their numbers. The caller holds the log's lock.

    Beyond `MAX_STORED_REJECTIONS` repetitions are not recognized: the count may then include one twice.
    """
    if not rejections:
        return {}
    each = {(rejection.topic, rejection.digest, rejection.reason): rejection for rejection in rejections}
    by_kind: dict[RejectionKind, list[Rejection]] = {}
    known = await queries.list_known_rejections(session, list(each.values()))
    for key, rejection in each.items():
        if key not in known:
            by_kind.setdefault((rejection.topic, rejection.reason), []).append(rejection)
    stored: list[Rejection] = []
    for (topic, reason), fresh in by_kind.items():
        counted = await queries.count_rejected(session, topic, reason, now.astimezone(UTC).date(), len(fresh))
        first = counted - len(fresh) + 1
        stored += fresh[: max(0, MAX_STORED_REJECTIONS + 1 - first)]
        for nth, rejection in enumerate(fresh, first):
            if _is_published(nth):
                outbox.add(session, _anomaly(rejection, nth, now), at=now)
    if stored:
        await queries.insert_rejections(session, stored, now)
    return {kind: len(fresh) for kind, fresh in by_kind.items()}


def report_rejections(counts: dict[RejectionKind, int]) -> None:
    """Report committed rejections in metrics and log."""
    for (topic, reason), count in counts.items():
        REJECTED.labels(topic, reason).inc(count)
        log.warning("message.rejected", topic=topic, reason=reason, count=count)


def _is_published(nth: int) -> bool:
    return nth <= MAX_SINGLE_ANOMALIES or str(nth).rstrip("0") == "1"


def _anomaly(rejection: Rejection, nth: int, now: datetime) -> AnomalyDetected:
    return AnomalyDetected(
        topic=rejection.topic,
        reason=rejection.reason.value,
        source=rejection.source,
        digest=rejection.digest.hex(),
        bytes=rejection.bytes,
        count=nth,
        found_at=now,
    )
