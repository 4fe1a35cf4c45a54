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
from datashare.resources.schemas import ResourceRequest
from datashare.runtime import Runtime


class AlreadyLoadedError(Exception):
    """The same file was loaded before, as load `load_id`: the transaction is rolled back."""

    def __init__(self, load_id: UUID) -> None:
        super().__init__()
        self.load_id = load_id


async def register_resource(
    session: AsyncSession, runtime: Runtime, principal: Principal, request: ResourceRequest
) -> Resource:
    """Register a resource; units do not see it before the authority opens it. Clause 10.2. Raises `CodeTaken`."""
    assert principal.unit is not None
    if await queries.get_resource(session, request.code):
        raise CodeTaken
    now = runtime.clock.now()
    resource = Resource(
        id=new_id(),
        code=request.code,
        kind=request.kind,
        title=request.title,
        fields=[field.model_dump(mode="json") for field in request.fields],
        subject_field=request.subject_field,
        name_field=request.name_field,
        responsible_unit=request.responsible_unit or principal.unit,
        registered_by=principal.uuid,
        registered_at=now,
    )
    session.add(resource)
    event = ResourceRegistered(
        resource_id=resource.id,
        code=resource.code,
        kind=request.kind,
        fields=[field.name for field in request.fields],
        responsible_unit=resource.responsible_unit,
    )
    outbox.add(session, event, at=now)
    return resource


async def load_records(
    session: AsyncSession, runtime: Runtime, principal: Principal, code: str, chunks: AsyncIterator[bytes]
) -> Load:
    """Load the valid rows of a CSV file, or nothing where the file as a whole is invalid.

    Raises `NotFound`, `CsvUnreadable`, `AlreadyLoadedError`.
    """
    resource = await queries.lock_resource(session, code)
    if resource is None:
        raise NotFound
    load_id = new_id()
    counts = await load_rows(session, resource, load_id, chunks)
    if earlier := await queries.get_load_by_digest(session, resource.id, counts.digest):
        raise AlreadyLoadedError(earlier.id)
    now = runtime.clock.now()
    load = Load(
        id=load_id,
        resource_id=resource.id,
        digest=counts.digest,
        loaded=counts.loaded,
        repeated=counts.repeated,
        rejected=counts.rejected,
        loaded_by=principal.uuid,
        loaded_at=now,
    )
    session.add(load)
    event = RecordsLoaded(
        resource_id=resource.id, load_id=load_id, digest=load.digest, loaded=load.loaded, rejected=load.rejected
    )
    outbox.add(session, event, at=now)
    return load
