"""Registers resources and loads their records."""

from collections.abc import AsyncIterator
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import RecordsLoaded, ResourceRegistered
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from datashare.resources import queries
from datashare.resources.bulk_import import load_rows
from datashare.resources.models import Load, Resource
from datashare.resources.problems import CodeTaken
from datashare.resources.schemas import ResourceRegistration
from datashare.runtime import Runtime

__all__ = ["LoadedBefore", "load", "register"]


class LoadedBefore(Exception):  # noqa: N818 - not an error: what was written meanwhile is rolled back, and this is the answer
    """The very file was loaded before, as load `load_id`."""

    def __init__(self, load_id: UUID) -> None:
        super().__init__()
        self.load_id = load_id


async def register(
    session: AsyncSession, runtime: Runtime, principal: Principal, wanted: ResourceRegistration
) -> Resource:
    """Register a resource; nobody else finds it before the authority opens it. Clause 10.2. Raises `CodeTaken`."""
    assert principal.unit is not None
    if await queries.resource_by_code(session, wanted.code):
        raise CodeTaken
    now = runtime.clock.now()
    resource = Resource(
        id=new_id(),
        code=wanted.code,
        kind=wanted.kind,
        title=wanted.title,
        fields=[field.model_dump(mode="json") for field in wanted.fields],
        subject_field=wanted.subject_field,
        name_field=wanted.name_field,
        responsible_unit=wanted.responsible_unit or principal.unit,
        registered_by=principal.uuid,
        registered_at=now,
    )
    session.add(resource)
    event = ResourceRegistered(
        resource_id=resource.id,
        code=resource.code,
        kind=wanted.kind,
        fields=[field.name for field in wanted.fields],
        responsible_unit=resource.responsible_unit,
    )
    outbox.add(session, event, at=now)
    return resource


async def load(
    session: AsyncSession, runtime: Runtime, principal: Principal, code: str, chunks: AsyncIterator[bytes]
) -> Load:
    """Load a CSV of records, all of its good rows or, where the file as a whole is wrong, nothing.

    Raises `NotFound`, `CsvUnreadable`, `LoadedBefore`.
    """
    resource = await queries.resource_by_code(session, code, lock=True)
    if resource is None:
        raise NotFound
    load_id = new_id()
    counts = await load_rows(session, resource, load_id, chunks)
    if known := await queries.load_by_digest(session, resource.id, counts.digest):
        raise LoadedBefore(known.id)
    now = runtime.clock.now()
    done = Load(
        id=load_id,
        resource_id=resource.id,
        digest=counts.digest,
        loaded=counts.loaded,
        repeated=counts.repeated,
        rejected=counts.rejected,
        loaded_by=principal.uuid,
        loaded_at=now,
    )
    session.add(done)
    event = RecordsLoaded(
        resource_id=resource.id, load_id=load_id, digest=done.digest, loaded=done.loaded, rejected=done.rejected
    )
    outbox.add(session, event, at=now)
    return done
