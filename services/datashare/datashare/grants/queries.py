"""What is asked about grants, and the locks under which they change. Several rows are locked in the order of their ids."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Uuid, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.grants.models import Grant, Suspension
from datashare.resources.models import Resource

__all__ = [
    "grant_of",
    "grants_of",
    "grants_under",
    "lock_live_of_resource",
    "lock_live_of_system",
    "lock_live_of_unit",
    "lock_under_cause",
    "open_suspensions",
    "suspensions_of",
]


async def grant_of(session: AsyncSession, grant_id: UUID, unit: UUID | None, *, lock: bool = False) -> Grant | None:
    """Return a grant; `unit` None: of any unit. `lock` waits for queries under way, which hold the row too."""
    statement = select(Grant).where(Grant.id == grant_id)
    if unit:
        statement = statement.where(Grant.unit_id == unit)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return await session.scalar(statement)


async def _lock_live(session: AsyncSession, now: datetime, *where: ColumnElement[bool]) -> list[Grant]:
    statement = (
        select(Grant)
        .where(Grant.revoked_at.is_(None), Grant.valid_until > now, *where)
        .order_by(Grant.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(await session.scalars(statement))


async def lock_live_of_resource(session: AsyncSession, resource_id: UUID, now: datetime) -> list[Grant]:
    """Return and lock a resource's grants that have not ended."""
    return await _lock_live(session, now, Grant.resource_id == resource_id)


async def lock_live_of_unit(
    session: AsyncSession, unit_id: UUID, now: datetime, *, resource_id: UUID | None = None
) -> list[Grant]:
    """Return and lock a unit's grants that have not ended."""
    where = [Grant.unit_id == unit_id]
    if resource_id:
        where.append(Grant.resource_id == resource_id)
    return await _lock_live(session, now, *where)


async def lock_live_of_system(session: AsyncSession, system_id: UUID, now: datetime) -> list[Grant]:
    """Return and lock the grants that a system uses and that have not ended."""
    return await _lock_live(session, now, literal(system_id, Uuid) == any_(Grant.systems))


async def lock_under_cause(session: AsyncSession, cause: str) -> list[Grant]:
    """Return and lock the grants that are suspended for a cause."""
    under = select(Suspension.grant_id).where(Suspension.cause == cause, Suspension.lifted_at.is_(None))
    statement = select(Grant).where(Grant.id.in_(under)).order_by(Grant.id).with_for_update()
    return list(await session.scalars(statement.execution_options(populate_existing=True)))


async def open_suspensions(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Suspension]]:
    """Return what suspends grants now, oldest first."""
    found: dict[UUID, list[Suspension]] = defaultdict(list)
    statement = (
        select(Suspension)
        .where(Suspension.grant_id.in_(ids), Suspension.lifted_at.is_(None))
        .order_by(Suspension.suspended_at, Suspension.id)
        .execution_options(populate_existing=True)
    )
    for row in await session.scalars(statement):
        found[row.grant_id].append(row)
    return found


async def suspensions_of(session: AsyncSession, grant_id: UUID) -> Sequence[Suspension]:
    """Return every suspension of a grant, lifted ones too."""
    statement = select(Suspension).where(Suspension.grant_id == grant_id).order_by(Suspension.id)
    return list(await session.scalars(statement))


def _with_code() -> Any:
    return select(Grant, Resource.code).join(Resource, Resource.id == Grant.resource_id).order_by(Grant.id)


async def grants_of(
    session: AsyncSession, unit: UUID | None, after: UUID | None, limit: int
) -> Sequence[tuple[Grant, str]]:
    """Return the grants of a unit with their resources' codes; `unit` None: of all."""
    statement = _with_code().limit(limit)
    if unit:
        statement = statement.where(Grant.unit_id == unit)
    if after:
        statement = statement.where(Grant.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def grants_under(session: AsyncSession, ids: Sequence[UUID]) -> Sequence[tuple[Grant, str]]:
    """Return these grants with their resources' codes."""
    return [(row[0], row[1]) for row in await session.execute(_with_code().where(Grant.id.in_(ids)))]
