"""Queries of receipts."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from identity.acknowledgements.models import ReceiptRow
from identity.cutoffs.models import CutoffRow


async def list_receipts_by_cutoff(session: AsyncSession, cutoffs: Sequence[UUID]) -> dict[UUID, list[ReceiptRow]]:
    """Return the receipts of each cutoff, earliest first."""
    query = select(ReceiptRow).where(ReceiptRow.cutoff_id.in_(cutoffs)).order_by(ReceiptRow.applied_at)
    found: dict[UUID, list[ReceiptRow]] = defaultdict(list)
    for row in await session.scalars(query):
        found[row.cutoff_id].append(row)
    return found


async def store_receipts(session: AsyncSession, receipts: Iterable[dict[str, Any]]) -> None:
    """Insert receipts; leave out those that are stored already, and those of unknown cutoffs."""
    received = list(receipts)
    ids = [row["cutoff_id"] for row in received]
    known = set(await session.scalars(select(CutoffRow.id).where(CutoffRow.id.in_(ids))))
    if rows := [row for row in received if row["cutoff_id"] in known]:
        await session.execute(insert(ReceiptRow).values(rows).on_conflict_do_nothing())
