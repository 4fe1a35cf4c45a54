"""Queries of resources, loads and rejected rows."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, Text, any_, literal, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from datashare.openings.models import Opening
from datashare.resources.models import Load, Reject, Resource

_INSERT_RECORDS = text("""
    WITH added AS (
        INSERT INTO records (resource_id, load_id, subject, subject_name, data, digest)
        SELECT :resource, :load, row.subject, row.subject_name, row.data::jsonb, row.digest
        FROM unnest(CAST(:subjects AS text[]), CAST(:names AS text[]), CAST(:data AS text[]), CAST(:digests AS bytea[]))
            AS row (subject, subject_name, data, digest)
        ON CONFLICT (resource_id, digest) DO NOTHING
        RETURNING 1
    ) SELECT count(*) FROM added""")
_INSERT_REJECTS = text("""
    INSERT INTO rejects (load_id, line, field, reason, content)
    SELECT :load, row.* FROM unnest(
        CAST(:lines AS integer[]), CAST(:fields AS text[]), CAST(:reasons AS text[]), CAST(:contents AS text[])) AS row""")


async def get_resource(session: AsyncSession, code: str) -> Resource | None:
    """Return the resource with a code."""
    return await session.scalar(select(Resource).where(Resource.code == code))


async def get_resource_by_id(session: AsyncSession, resource_id: UUID) -> Resource:
    """Return the resource that a row refers to by foreign key."""
    return await session.get_one(Resource, resource_id)


async def lock_resource(session: AsyncSession, code: str) -> Resource | None:
    """Return and lock a resource: one transaction at a time loads or opens it."""
    return await session.scalar(for_update(select(Resource).where(Resource.code == code)))


async def list_resources(session: AsyncSession, page: PageRequest) -> Slice[Resource]:
    """Return all resources, for authority and center."""
    return await paginate(session, select(Resource), Resource.id, page)


def _open_to(unit_kind: str) -> Select[Resource, Opening]:
    """Select resources with their newest opening, where that includes the kind of unit (10.2)."""
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


async def list_open_resources(
    session: AsyncSession, unit_kind: str, page: PageRequest
) -> Slice[tuple[Resource, Opening]]:
    """Return the resources that are open to a kind of unit, each with its opening."""
    return await paginate(session, _open_to(unit_kind), Resource.id, page)


async def get_open_resource(session: AsyncSession, unit_kind: str, code: str) -> tuple[Resource, Opening] | None:
    """Return a resource and its opening, if it is open to the kind of unit."""
    row = (await session.execute(_open_to(unit_kind).where(Resource.code == code))).first()
    return (row[0], row[1]) if row else None


async def get_load_by_digest(session: AsyncSession, resource_id: UUID, digest: str) -> Load | None:
    """Return the load of the file with this SHA-256."""
    return await session.scalar(select(Load).where(Load.resource_id == resource_id, Load.digest == digest))


async def get_load(session: AsyncSession, load_id: UUID) -> Load | None:
    """Return a load."""
    return await session.get(Load, load_id)


async def list_loads(session: AsyncSession, resource_id: UUID, page: PageRequest) -> Slice[Load]:
    """Return the loads of a resource."""
    return await paginate(session, select(Load).where(Load.resource_id == resource_id), Load.id, page)


async def list_rejects(session: AsyncSession, load_id: UUID, after: int, limit: int) -> Sequence[Reject]:
    """Return rejected rows of a load beyond line `after`."""
    query = select(Reject).where(Reject.load_id == load_id, Reject.line > after).order_by(Reject.line).limit(limit)
    return (await session.scalars(query)).all()


async def insert_records(
    session: AsyncSession, resource_id: UUID, load_id: UUID, records: Sequence[tuple[str, str, str, bytes]]
) -> int:
    """Insert records (subject, name, JSON, digest); return how many of them were new."""
    subjects, names, data, digests = map(list, zip(*records, strict=True))
    parameters = {"subjects": subjects, "names": names, "data": data, "digests": digests}
    added = await session.execute(_INSERT_RECORDS, {"resource": resource_id, "load": load_id, **parameters})
    return int(added.scalar_one())


async def insert_rejects(session: AsyncSession, load_id: UUID, rejects: Sequence[tuple[int, str, str, str]]) -> None:
    """Insert rejected rows (line, field, reason, content)."""
    lines, fields, reasons, contents = map(list, zip(*rejects, strict=True))
    parameters = {"lines": lines, "fields": fields, "reasons": reasons, "contents": contents}
    await session.execute(_INSERT_REJECTS, {"load": load_id, **parameters})
