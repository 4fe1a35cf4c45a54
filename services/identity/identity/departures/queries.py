"""Reads departure files."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.cutoffs.models import CutoffRow, ReceiptRow
from identity.departures.models import Departure

__all__ = ["cutoffs_of", "departure_of", "departure_of_account", "departures_of", "receipts_of"]


async def departure_of(
    session: AsyncSession, departure_id: UUID, unit_id: UUID | None, *, lock: bool = False
) -> Departure | None:
    """Return a file, if it is one of `unit_id` (None: of any unit)."""
    query = select(Departure).where(Departure.id == departure_id)
    if unit_id is not None:
        query = query.where(Departure.unit_id == unit_id)
    if lock:
        query = query.with_for_update()
    departure: Departure | None = await session.scalar(query)
    return departure


async def departure_of_account(session: AsyncSession, account_id: UUID) -> Departure | None:
    """Return the file of an account, if its departure was reported."""
    departure: Departure | None = await session.scalar(select(Departure).where(Departure.account_id == account_id))
    return departure


async def departures_of(
    session: AsyncSession, unit_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[Departure]:
    """Return files by id, of one unit or of all."""
    query = select(Departure).order_by(Departure.id).limit(limit)
    if unit_id is not None:
        query = query.where(Departure.unit_id == unit_id)
    if after is not None:
        query = query.where(Departure.id > after)
    return (await session.scalars(query)).all()


async def cutoffs_of(session: AsyncSession, departure_id: UUID) -> Sequence[CutoffRow]:
    """Return the cutoffs that a departure brought about, oldest first."""
    query = select(CutoffRow).where(CutoffRow.cause == f"departure:{departure_id}").order_by(CutoffRow.at)
    return (await session.scalars(query)).all()


async def receipts_of(session: AsyncSession, cutoffs: Sequence[CutoffRow]) -> Sequence[ReceiptRow]:
    """Return the stored receipts of `cutoffs`."""
    query = select(ReceiptRow).where(ReceiptRow.cutoff_id.in_([cutoff.id for cutoff in cutoffs]))
    return (await session.scalars(query)).all()
