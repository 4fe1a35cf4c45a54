"""Reads which numbers of each producer the log has."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.producers.models import Watermark

__all__ = [
    "MOST_RANGES",
    "Heard",
    "LoggedGap",
    "Missing",
    "Producer",
    "Span",
    "gaps_of",
    "list_producers",
    "missing",
    "share_signs",
    "watch_for",
    "watermark",
]

MOST_RANGES = 1_000
MOST_GAPS = 100
ENDLESS = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Producer:
    """One source, the last of its numbers that is in the log, and when that came in."""

    source: str
    last: int
    logged_at: datetime


@dataclass(frozen=True, slots=True)
class LoggedGap:
    """A recorded gap, and how many of its numbers are missing now."""

    after: int
    before: int
    found_at: datetime
    missing: int


class Span(NamedTuple):
    """Numbers of one producer: those above `after`, up to and with `last`."""

    source: str
    after: int
    last: int


class Missing(NamedTuple):
    """Numbers of one producer that are not there: those between `after` and `before`."""

    source: str
    after: int
    before: int


class Heard(NamedTuple):
    """What is known of one producer: its highest number, whether it beats, and when it was last heard.

    `watched_from` is when its term began if it was not heard yet.
    """

    source: str
    number: int
    beats: bool
    watched_from: datetime
    heard_at: datetime | None

    @property
    def since(self) -> datetime:
        """From when on it has been silent."""
        return self.heard_at or self.watched_from

    def joined(self, other: "Heard | None") -> "Heard":
        """Return what both know."""
        if other is None:
            return self
        heard_at = max((at for at in (self.heard_at, other.heard_at) if at), default=None)
        number = max(self.number, other.number)
        return Heard(self.source, number, self.beats or other.beats, other.watched_from, heard_at)


async def list_producers(session: AsyncSession, after: str, limit: int) -> list[Producer]:
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
    return [Producer(row[0], row[1], row[2]) for row in found]


async def watch_for(session: AsyncSession, sources: Sequence[str], since: datetime) -> None:
    """Expect signs of `sources` from now on; `since` is when the term of those begins that nobody has heard yet."""
    await session.execute(text("SELECT watch_for(:sources, :since)"), {"sources": list(sources), "since": since})


async def share_signs(session: AsyncSession, mine: Sequence[Heard], after: datetime) -> list[Heard]:
    """Store signs, and return the latest one of each source by all replicas: of those that beat, and since `after`."""
    if mine:
        await session.execute(
            text("SELECT note_signs(:sources, :numbers, :beats, :times)"),
            {
                "sources": [heard.source for heard in mine],
                "numbers": [heard.number for heard in mine],
                "beats": [heard.beats for heard in mine],
                "times": [heard.since for heard in mine],
            },
        )
    found = await session.execute(
        text("SELECT source, number, beats, watched_from, heard_at FROM signs WHERE beats OR heard_at > :after"),
        {"after": after},
    )
    return [Heard(*row) for row in found]


async def watermark(session: AsyncSession, source: str) -> int:
    """Return up to which number the producer's are known to be accounted for."""
    found: int | None = await session.scalar(select(func.max(Watermark.number)).where(Watermark.source == source))
    return found or 0


async def missing(session: AsyncSession, spans: Sequence[Span], *, size: int = ENDLESS) -> list[Missing]:
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
            "limit": MOST_RANGES,
        },
    )
    return [Missing(*row) for row in found]


async def gaps_of(session: AsyncSession, sources: Sequence[str]) -> dict[str, list[LoggedGap]]:
    """Return the newest recorded gaps of each source, the latest first, with what is missing of them now."""
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
        {"sources": list(sources), "limit": MOST_GAPS},
    )
    gaps: dict[str, list[LoggedGap]] = {source: [] for source in sources}
    for source, after, before, found_at, count in found:
        gaps[source].append(LoggedGap(after, before, found_at, count))
    return gaps
