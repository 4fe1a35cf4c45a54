"""Reads the records of a package, and the exports."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.evidence.models import EvidenceExport
from audit.evidence.schemas import EvidenceScope
from audit.log.models import Leaf
from audit.producers.queries import Span
from common.storage.pagination import PageRequest, Slice, paginate


def _conditions(scope: EvidenceScope, size: int) -> list[ColumnElement[bool]]:
    """Return the conditions of a leaf of the scope in the tree of `size` leaves."""
    conditions: list[ColumnElement[bool]] = [
        Leaf.index >= (scope.from_index or 0),
        Leaf.index <= min(size - 1, size if scope.to_index is None else scope.to_index),
    ]
    if scope.subjects:
        conditions.append(Leaf.subject.in_(scope.subjects))
    if scope.request_ids:
        conditions.append(Leaf.requestid.in_(scope.request_ids))
    if scope.from_time:
        conditions.append(Leaf.time >= scope.from_time)
    if scope.to_time:
        conditions.append(Leaf.time < scope.to_time)
    return conditions


async def measure(session: AsyncSession, scope: EvidenceScope, size: int) -> tuple[int, int]:
    """Return the number of records in the scope, and their bytes."""
    found = await session.execute(
        select(func.count(), func.coalesce(func.sum(func.octet_length(Leaf.body)), 0)).where(*_conditions(scope, size))
    )
    count, total = found.one()
    return count, int(total)


async def list_records(session: AsyncSession, scope: EvidenceScope, size: int) -> list[tuple[int, bytes]]:
    """Return (index, body) of the scope's records, by index."""
    found = await session.execute(select(Leaf.index, Leaf.body).where(*_conditions(scope, size)).order_by(Leaf.index))
    return [(row[0], bytes(row[1])) for row in found]


async def list_spans(session: AsyncSession, scope: EvidenceScope, size: int) -> list[Span]:
    """Return the span of numbers of each producer in a complete scope; from the log's beginning it starts at 1."""
    found = await session.execute(
        select(Leaf.source, func.min(Leaf.index), func.min(Leaf.sequence), func.max(Leaf.sequence))
        .where(*_conditions(scope, size))
        .group_by(Leaf.source)
    )
    rows = found.all()
    begins = min(row[1] for row in rows) == 0
    return [Span(source, 0 if begins else low - 1, high) for source, _, low, high in rows]


async def list_fillers(
    session: AsyncSession, reach: Sequence[Span], first: int, last: int, size: int
) -> list[tuple[int, bytes]]:
    """Return the leaves outside of first..last whose numbers are within `reach`: without them they would seem missing.

    Events of one producer may overtake each other: a number of the span may stand before or after the range.
    """
    found = await session.execute(
        text("""
            SELECT l.index, l.body
            FROM unnest(CAST(:sources AS text[]), CAST(:afters AS bigint[]), CAST(:lasts AS bigint[]))
                AS w (source, after, last)
            JOIN leaves l ON l.source = w.source AND l.sequence > w.after AND l.sequence <= w.last
            WHERE (l.index < :first OR l.index > :last) AND l.index < :size ORDER BY l.index"""),
        {
            "sources": [span.source for span in reach],
            "afters": [span.after for span in reach],
            "lasts": [span.last for span in reach],
            "first": first,
            "last": last,
            "size": size,
        },
    )
    return [(row[0], bytes(row[1])) for row in found]


async def list_exports(session: AsyncSession, page: PageRequest) -> Slice[EvidenceExport]:
    """Return the exports."""
    return await paginate(session, select(EvidenceExport), EvidenceExport.id, page)
