"""Reads the numbers of each producer in the log, shares last messages between replicas, records findings once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from audit.producers.models import Gap, Silence, Watermark

MAX_MISSING_RANGES = 1_000
"""Ranges that one scan reads."""
MAX_GAPS_PER_PRODUCER = 100
"""Gaps of one producer in a list."""
MAX_LOG_SIZE = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class LoggedProducer:
    """One source, its last number in the log, and the time of that entry."""

    source: str
    last: int
    logged_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedGap:
    """A recorded gap, and the count of its numbers that are still missing."""

    after: int
    before: int
    found_at: datetime
    missing: int


class Span(NamedTuple):
    """Numbers of one producer above `after`, up to and including `last`."""

    source: str
    after: int
    last: int


class Missing(NamedTuple):
    """Missing numbers of one producer between `after` and `before`."""

    source: str
    after: int
    before: int


class LastSeen(NamedTuple):
    """The state of one producer: its highest number, whether it sends heartbeats, and the time of its last message.

    `watched_from` is the beginning of its term while no message has arrived.
    """

    source: str
    number: int
    sends_heartbeats: bool
    watched_from: datetime
    seen_at: datetime | None

    @property
    def since(self) -> datetime:
        """The beginning of its silence."""
        return self.seen_at or self.watched_from

    def merge(self, other: "LastSeen | None") -> "LastSeen":
        """Return the newest state of both."""
        if other is None:
            return self
        seen_at = max((at for at in (self.seen_at, other.seen_at) if at), default=None)
        number = max(self.number, other.number)
        return LastSeen(
            self.source, number, self.sends_heartbeats or other.sends_heartbeats, other.watched_from, seen_at
        )


async def list_producers(session: AsyncSession, after: str, limit: int) -> list[LoggedProducer]:
    """Return sources in order, from the one after `after`: a skip from source to source through the index."""
    found = await session.execute(
        text("""
            WITH RECURSIVE each AS (
                (SELECT source FROM leaves WHERE source > :after ORDER BY source LIMIT 1)
                UNION ALL
                SELECT (SELECT l.source FROM leaves l WHERE l.source > e.source ORDER BY l.source LIMIT 1)
                FROM each e WHERE e.source IS NOT NULL
            )
            SELECT e.source, l.sequence, l.logged_at FROM (SELECT source FROM each LIMIT :limit) e
            CROSS JOIN LATERAL (
                SELECT sequence, logged_at FROM leaves WHERE source = e.source ORDER BY sequence DESC LIMIT 1
            ) l
            WHERE e.source IS NOT NULL ORDER BY e.source"""),
        {"after": after, "limit": limit},
    )
    return [LoggedProducer(row[0], row[1], row[2]) for row in found]


async def expect_producers(session: AsyncSession, sources: Sequence[str], since: datetime) -> None:
    """Expect messages of `sources` from now on; `since` is the beginning of the term of those without one."""
    await session.execute(text("SELECT watch_for(:sources, :since)"), {"sources": list(sources), "since": since})


async def share_last_seen(session: AsyncSession, mine: Sequence[LastSeen], after: datetime) -> list[LastSeen]:
    """Store this replica's states; return those of all replicas that have heartbeats, or were seen after `after`."""
    if mine:
        await session.execute(
            text("SELECT note_signs(:sources, :numbers, :beats, :times)"),
            {
                "sources": [state.source for state in mine],
                "numbers": [state.number for state in mine],
                "beats": [state.sends_heartbeats for state in mine],
                "times": [state.since for state in mine],
            },
        )
    found = await session.execute(
        text("SELECT source, number, beats, watched_from, heard_at FROM signs WHERE beats OR heard_at > :after"),
        {"after": after},
    )
    return [LastSeen(*row) for row in found]


async def insert_silence(session: AsyncSession, source: str, since: datetime, now: datetime) -> bool:
    """Record a silence; False when this or another replica did before."""
    silence = insert(Silence).values(source=source, last_seen_at=since, found_at=now)
    return await session.scalar(silence.on_conflict_do_nothing().returning(Silence.source)) is not None


async def insert_gap(session: AsyncSession, source: str, after: int, before: int, now: datetime) -> bool:
    """Record a gap; False when another replica did before."""
    gap = insert(Gap).values(source=source, after=after, before=before, found_at=now)
    return await session.scalar(gap.on_conflict_do_nothing().returning(Gap.after)) is not None


async def get_watermark(session: AsyncSession, source: str) -> int:
    """Return the number up to which every number of the producer is accounted for."""
    found: int | None = await session.scalar(select(func.max(Watermark.number)).where(Watermark.source == source))
    return found or 0


async def list_missing(session: AsyncSession, spans: Sequence[Span], *, size: int = MAX_LOG_SIZE) -> list[Missing]:
    """Return each run of numbers of the spans that is neither in the first `size` leaves nor in a recorded gap."""
    found = await session.execute(
        text("""
            SELECT source, previous, low FROM (
                SELECT w.source, n.low, max(n.high) OVER (
                    PARTITION BY w.source ORDER BY n.low ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
                ) AS previous
                FROM unnest(CAST(:sources AS text[]), CAST(:afters AS bigint[]), CAST(:lasts AS bigint[]))
                    AS w (source, after, last)
                CROSS JOIN LATERAL (
                    SELECT w.after AS low, w.after AS high
                    UNION ALL
                    SELECT sequence, sequence FROM leaves l
                    WHERE l.source = w.source AND l.sequence > w.after AND l.sequence <= w.last AND l.index < :size
                    UNION ALL
                    SELECT g.after + 1, g.before - 1 FROM gaps g
                    WHERE g.source = w.source AND g.before > w.after AND g.after < w.last
                    UNION ALL
                    SELECT w.last + 1, w.last + 1
                ) n
            ) steps
            WHERE low > previous + 1 ORDER BY source, low LIMIT :limit"""),
        {
            "sources": [span.source for span in spans],
            "afters": [span.after for span in spans],
            "lasts": [span.last for span in spans],
            "size": size,
            "limit": MAX_MISSING_RANGES,
        },
    )
    return [Missing(*row) for row in found]


async def list_gaps(session: AsyncSession, sources: Sequence[str]) -> dict[str, list[LoggedGap]]:
    """Return the newest recorded gaps of each source, the latest first, with their counts of missing numbers."""
    found = await session.execute(
        text("""
            SELECT w.source, g.after, g.before, g.found_at, g.before - g.after - 1 - (
                SELECT count(*) FROM leaves l
                WHERE l.source = w.source AND l.sequence > g.after AND l.sequence < g.before
            )
            FROM unnest(CAST(:sources AS text[])) AS w (source)
            CROSS JOIN LATERAL (
                SELECT * FROM gaps WHERE source = w.source ORDER BY after DESC LIMIT :limit
            ) g
            ORDER BY w.source, g.after DESC"""),
        {"sources": list(sources), "limit": MAX_GAPS_PER_PRODUCER},
    )
    gaps: dict[str, list[LoggedGap]] = {source: [] for source in sources}
    for source, after, before, found_at, count in found:
        gaps[source].append(LoggedGap(after, before, found_at, count))
    return gaps
