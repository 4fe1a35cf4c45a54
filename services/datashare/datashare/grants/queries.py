"""Queries of grants, and the locks under which they change. Several rows are locked in the order of their ids."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Uuid, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from datashare.grants.models import Grant, Suspension
from datashare.resources.models import Resource


async def get_grant(session: AsyncSession, grant_id: UUID, unit: UUID | None) -> Grant | None:
    """Return a grant; `unit` None: of any unit."""
    query = select(Grant).where(Grant.id == grant_id)
    return await session.scalar(query.where(Grant.unit_id == unit) if unit else query)


async def lock_grant(session: AsyncSession, grant_id: UUID) -> Grant | None:
    """Return and lock a grant; this waits for queries under way, which lock the row too."""
    return await session.scalar(for_update(select(Grant).where(Grant.id == grant_id)))


async def _lock_grants(session: AsyncSession, *where: ColumnElement[bool]) -> Sequence[Grant]:
    return (await session.scalars(for_update(select(Grant).where(*where).order_by(Grant.id)))).all()


def _live(now: datetime) -> Sequence[ColumnElement[bool]]:
    return Grant.revoked_at.is_(None), Grant.valid_until > now


async def lock_live_grants_of_resource(session: AsyncSession, resource_id: UUID, now: datetime) -> Sequence[Grant]:
    """Return and lock a resource's grants that have not ended."""
    return await _lock_grants(session, *_live(now), Grant.resource_id == resource_id)


async def lock_live_grants_of_unit(
    session: AsyncSession, unit_id: UUID, now: datetime, *, resource_id: UUID | None = None
) -> Sequence[Grant]:
    """Return and lock a unit's grants that have not ended; with `resource_id`, those of that resource."""
    of_resource = () if resource_id is None else (Grant.resource_id == resource_id,)
    return await _lock_grants(session, *_live(now), Grant.unit_id == unit_id, *of_resource)


async def lock_live_grants_of_system(session: AsyncSession, system_id: UUID, now: datetime) -> Sequence[Grant]:
    """Return and lock the grants that a system uses and that have not ended."""
    return await _lock_grants(session, *_live(now), literal(system_id, Uuid) == any_(Grant.systems))


async def lock_suspended_grants(session: AsyncSession, cause: str) -> Sequence[Grant]:
    """Return and lock the grants that are suspended for a cause."""
    suspended = select(Suspension.grant_id).where(Suspension.cause == cause, Suspension.lifted_at.is_(None))
    return await _lock_grants(session, Grant.id.in_(suspended))


async def list_open_suspensions(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Suspension]]:
    """Return the suspensions that are not lifted, by grant, oldest first."""
    found: dict[UUID, list[Suspension]] = defaultdict(list)
    query = (
        select(Suspension)
        .where(Suspension.grant_id.in_(ids), Suspension.lifted_at.is_(None))
        .order_by(Suspension.suspended_at, Suspension.id)
        .execution_options(populate_existing=True)
    )
    for row in await session.scalars(query):
        found[row.grant_id].append(row)
    return found


async def list_suspensions(session: AsyncSession, grant_id: UUID) -> Sequence[Suspension]:
    """Return every suspension of a grant, lifted ones too."""
    query = select(Suspension).where(Suspension.grant_id == grant_id).order_by(Suspension.id)
    return (await session.scalars(query)).all()


async def list_grants(
    session: AsyncSession, unit: UUID | None, page: PageRequest, *, ids: Collection[UUID] | None = None
) -> Slice[tuple[Grant, str]]:
    """Return the grants of a unit with their resources' codes; `unit` None: of all. `ids` leaves out all others."""
    query: Select[Grant, str] = select(Grant, Resource.code).join(Resource, Resource.id == Grant.resource_id)
    if unit:
        query = query.where(Grant.unit_id == unit)
    if ids is not None:
        query = query.where(Grant.id.in_(ids))
    return await paginate(session, query, Grant.id, page)
