"""Queries of departures."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from identity.departures.models import Departure


async def get_departure(session: AsyncSession, departure_id: UUID, visible: UUID | None) -> Departure | None:
    """Return a departure of the unit `visible`; None stands for every unit."""
    query = select(Departure).where(Departure.id == departure_id)
    if visible is not None:
        query = query.where(Departure.unit_id == visible)
    departure: Departure | None = await session.scalar(query)
    return departure


async def lock_departure(session: AsyncSession, departure_id: UUID) -> Departure | None:
    """Return a departure, locked for a change."""
    departure: Departure | None = await session.scalar(
        for_update(select(Departure).where(Departure.id == departure_id))
    )
    return departure


async def get_departure_of_account(session: AsyncSession, account_id: UUID) -> Departure | None:
    """Return the departure of an account, if it was reported."""
    departure: Departure | None = await session.scalar(select(Departure).where(Departure.account_id == account_id))
    return departure


async def list_departures(session: AsyncSession, visible: UUID | None, page: PageRequest) -> Slice[Departure]:
    """Return the departures of one unit or of all."""
    query = select(Departure) if visible is None else select(Departure).where(Departure.unit_id == visible)
    return await paginate(session, query, Departure.id, page)
