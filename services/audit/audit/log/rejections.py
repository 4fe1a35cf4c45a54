"""What the log cannot take is recorded, counted and told of; a flood of it neither fills the database nor the warnings."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import prometheus_client
import structlog
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.log.entries import Reason, Rejection
from audit.log.models import Rejected
from common.contracts.events.audit import AnomalyDetected
from common.ids import new_id
from common.messaging import outbox

__all__ = ["Kind", "note_rejected", "record_rejections"]

MOST_KEPT = 1_000
"""Rejections of one topic and reason that are kept one by one each day; those after them are only counted."""
TOLD_SINGLY = 10
"""Of one topic, reason and day: the first ones are told one by one, later ones at every power of ten."""

REJECTED = prometheus_client.Counter(
    "xindun_audit_rejected_total", "Messages that could not become leaves, each once", ["topic", "reason"]
)

log = structlog.get_logger()

Kind = tuple[str, Reason]
"""Topic and reason."""


async def record_rejections(session: AsyncSession, rejections: Sequence[Rejection], now: datetime) -> dict[Kind, int]:
    """Record those that are new and tell of them (clause 7.4); return how many they were. The log's lock is held.

    Beyond `MOST_KEPT` a repetition cannot be told from a new one: the count may then hold it twice.
    """
    if not rejections:
        return {}
    each = {(rejection.topic, rejection.digest, rejection.reason): rejection for rejection in rejections}
    by_kind: dict[Kind, list[Rejection]] = {}
    known = await _known(session, list(each.values()))
    for key, rejection in each.items():
        if key not in known:
            by_kind.setdefault((rejection.topic, rejection.reason), []).append(rejection)
    kept: list[Rejection] = []
    for (topic, reason), fresh in by_kind.items():
        counted = await session.scalar(
            text("SELECT count_rejected(:topic, :reason, :day, :more)"),
            {"topic": topic, "reason": reason, "day": now.astimezone(UTC).date(), "more": len(fresh)},
        )
        first = counted - len(fresh) + 1
        kept += fresh[: max(0, MOST_KEPT + 1 - first)]
        for nth, rejection in enumerate(fresh, first):
            if _is_told(nth):
                outbox.add(session, _anomaly(rejection, nth, now), at=now)
    if kept:
        await session.execute(insert(Rejected), [_row(rejection, now) for rejection in kept])
    return {kind: len(fresh) for kind, fresh in by_kind.items()}


def note_rejected(counts: dict[Kind, int]) -> None:
    """Say of rejections that are recorded that they are, in metrics and log."""
    for (topic, reason), count in counts.items():
        REJECTED.labels(topic, reason).inc(count)
        log.warning("message.rejected", topic=topic, reason=reason, count=count)


async def _known(session: AsyncSession, rejections: Sequence[Rejection]) -> set[tuple[str, bytes, Reason]]:
    found = await session.execute(
        text("""
            SELECT r.topic, r.digest, r.reason
            FROM unnest(CAST(:topics AS text[]), CAST(:digests AS bytea[]), CAST(:reasons AS text[]))
                AS w (topic, digest, reason)
            JOIN rejected r ON r.topic = w.topic AND r.digest = w.digest AND r.reason = w.reason"""),
        {
            "topics": [rejection.topic for rejection in rejections],
            "digests": [rejection.digest for rejection in rejections],
            "reasons": [rejection.reason.value for rejection in rejections],
        },
    )
    return {(row[0], bytes(row[1]), Reason(row[2])) for row in found}


def _is_told(nth: int) -> bool:
    return nth <= TOLD_SINGLY or str(nth).rstrip("0") == "1"


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


def _row(rejection: Rejection, now: datetime) -> dict[str, Any]:
    return {"id": new_id(), **rejection._asdict(), "rejected_at": now}
