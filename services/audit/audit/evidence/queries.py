"""Reads what goes into a package, and what went."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.evidence.models import EvidenceExport
from audit.evidence.schemas import Scope
from audit.log.models import Leaf
from common.pages import PageRequest

__all__ = ["fillers", "list_exports", "measure", "records_of"]


def _conditions(scope: Scope, size: int) -> list[ColumnElement[bool]]:
    """Return what makes a leaf part of the scope in the tree of `size` leaves."""
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


async def measure(session: AsyncSession, scope: Scope, size: int) -> tuple[int, int]:
    """Return how many records the scope holds, and their bytes."""
    found = await session.execute(
        select(func.count(), func.coalesce(func.sum(func.octet_length(Leaf.body)), 0)).where(*_conditions(scope, size))
    )
    count, total = found.one()
    return count, int(total)


async def records_of(session: AsyncSession, scope: Scope, size: int) -> list[Any]:
    """Return (index, source, sequence, body) of the scope's records, by index."""
    found = await session.execute(
        select(Leaf.index, Leaf.source, Leaf.sequence, Leaf.body).where(*_conditions(scope, size)).order_by(Leaf.index)
    )
    return list(found)


async def fillers(session: AsyncSession, records: Sequence[Any], size: int) -> list[tuple[int, bytes]]:
    """Return leaves outside of a whole range whose numbers would seem to be missing in it.

    Events of one producer may overtake each other on the way to the log, so a number within the range's span may stand
    before or after it.
    """
    first, last = records[0].index, records[-1].index
    numbers: dict[str, list[int]] = defaultdict(list)
    for record in records:
        numbers[record.source].append(record.sequence)
    spans = {source: (1 if first == 0 else min(found), max(found)) for source, found in numbers.items()}
    found = await session.execute(
        text("""
            SELECT l.index, l.body
            FROM unnest(CAST(:sources AS text[]), CAST(:lows AS bigint[]), CAST(:highs AS bigint[]))
                AS w (source, low, high)
            JOIN leaves l ON l.source = w.source AND l.sequence BETWEEN w.low AND w.high
            WHERE (l.index < :first OR l.index > :last) AND l.index < :size ORDER BY l.index"""),
        {
            "sources": list(spans),
            "lows": [low for low, _ in spans.values()],
            "highs": [high for _, high in spans.values()],
            "first": first,
            "last": last,
            "size": size,
        },
    )
    return [(row[0], bytes(row[1])) for row in found]


async def list_exports(session: AsyncSession, page: PageRequest) -> Sequence[EvidenceExport]:
    """Return exports, one more than the page holds."""
    found = select(EvidenceExport).order_by(EvidenceExport.id).limit(page.limit + 1)
    if page.after is not None:
        found = found.where(EvidenceExport.id > page.after)
    return (await session.scalars(found)).all()
