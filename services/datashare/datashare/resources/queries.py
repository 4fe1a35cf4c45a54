"""What is asked about resources."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, Text, any_, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.openings.models import Opening
from datashare.resources.models import Load, Reject, Resource

__all__ = [
    "load_by_digest",
    "load_of",
    "loads_of",
    "open_resource",
    "open_resources",
    "rejects_of",
    "resource_by_code",
    "resources_by_id",
    "resources_of",
]


async def resource_by_code(session: AsyncSession, code: str, *, lock: bool = False) -> Resource | None:
    """Return a resource; `lock` keeps out whoever else loads or opens it."""
    statement = select(Resource).where(Resource.code == code)
    if lock:
        statement = statement.with_for_update(key_share=True)
    return await session.scalar(statement)


async def resources_by_id(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, Resource]:
    """Return resources by their ids."""
    return {row.id: row for row in await session.scalars(select(Resource).where(Resource.id.in_(ids)))}


async def resources_of(session: AsyncSession, after: UUID | None, limit: int) -> Sequence[Resource]:
    """Return all resources, for those who make them available."""
    statement = select(Resource).order_by(Resource.id).limit(limit)
    if after:
        statement = statement.where(Resource.id > after)
    return list(await session.scalars(statement))


def _open_to(unit_kind: str) -> Select[Resource, Opening]:
    """Select resources with the opening that stands now, where it includes the kind of unit (10.2)."""
    later = select(Opening.resource_id, Opening.version).subquery()
    newest = (
        ~select(later.c.version)
        .where(later.c.resource_id == Opening.resource_id, later.c.version > Opening.version)
        .exists()
    )
    return (
        select(Resource, Opening)
        .join(Opening, Opening.resource_id == Resource.id)
        .where(newest, ~Opening.withdrawn, literal(unit_kind, Text) == any_(Opening.unit_kinds))
    )


async def open_resources(
    session: AsyncSession, unit_kind: str, after: UUID | None, limit: int
) -> Sequence[tuple[Resource, Opening]]:
    """Return what is open to a kind of unit, each with its opening."""
    statement = _open_to(unit_kind).order_by(Resource.id).limit(limit)
    if after:
        statement = statement.where(Resource.id > after)
    return [(row[0], row[1]) for row in await session.execute(statement)]


async def open_resource(session: AsyncSession, unit_kind: str, code: str) -> tuple[Resource, Opening] | None:
    """Return a resource and its opening, if it is open to the kind of unit."""
    row = (await session.execute(_open_to(unit_kind).where(Resource.code == code))).first()
    return (row[0], row[1]) if row else None


async def load_by_digest(session: AsyncSession, resource_id: UUID, digest: str) -> Load | None:
    """Return the load of a file that was loaded before."""
    return await session.scalar(select(Load).where(Load.resource_id == resource_id, Load.digest == digest))


async def load_of(session: AsyncSession, load_id: UUID) -> Load | None:
    """Return a load."""
    return await session.get(Load, load_id)


async def loads_of(session: AsyncSession, resource_id: UUID, after: UUID | None, limit: int) -> Sequence[Load]:
    """Return the loads of a resource."""
    statement = select(Load).where(Load.resource_id == resource_id).order_by(Load.id).limit(limit)
    if after:
        statement = statement.where(Load.id > after)
    return list(await session.scalars(statement))


async def rejects_of(session: AsyncSession, load_id: UUID, after: int, limit: int) -> Sequence[Reject]:
    """Return rejected rows of a load beyond line `after`."""
    statement = select(Reject).where(Reject.load_id == load_id, Reject.line > after).order_by(Reject.line).limit(limit)
    return list(await session.scalars(statement))
