"""Endpoints of resources."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from common.problems import NotFound, TooLarge
from common.storage.database import DatabaseUnavailable
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep, page_of
from common.web.request_state import raise_body_limit
from common.web.routing import router
from datashare.openings.models import Opening
from datashare.openings.problems import ResourceNotOpen
from datashare.permissions import CanLoadResources, CanSee
from datashare.resources import queries, service
from datashare.resources.models import Load, Resource
from datashare.resources.problems import CodeTaken, CsvUnreadable
from datashare.resources.schemas import LoadView, RejectView, ResourceRegistration, ResourceView
from datashare.resources.service import LoadedBefore
from datashare.runtime import RuntimeDep
from datashare.sight import sees_all

__all__ = ["LARGEST_FILE", "routes"]

LARGEST_FILE = 64 << 20
"""Bytes of one CSV."""
LONGEST_LOAD = 300.0
"""Seconds that loading it may take."""

routes = router("/datashare/resources", "resources")


async def _large_body(request: Request) -> None:
    """Let this request be as large as a file, before anything of it is read."""
    raise_body_limit(request.scope, max_bytes=LARGEST_FILE, timeout=LONGEST_LOAD)


@routes.post("", status_code=201)
@operation("登记资源", "Register a resource", CodeTaken)
async def register_resource(
    body: ResourceRegistration, principal: CanLoadResources, write: WriteDep, runtime: RuntimeDep
) -> ResourceView:
    """Register a resource and its fields."""
    return _view(await service.register(write.session, runtime, principal, body), None)


@routes.get("")
@operation("查看资源目录", "List resources")
async def list_resources(principal: CanSee, page: PageDep, session: SessionDep) -> Page[ResourceView]:
    """Return the resources: all of them to authority and center, to others what is open to their kind of unit."""
    if sees_all(principal):
        everything = await queries.resources_of(session, page.after, page.limit + 1)
        return page_of(page, everything, lambda row: _view(row, None), lambda row: row.id)
    rows = await queries.open_resources(session, principal.unit_kind or "", page.after, page.limit + 1)
    return page_of(page, rows, lambda row: _view(*row), lambda row: row[0].id)


@routes.get("/{code}")
@operation("查看资源", "Get a resource", NotFound, ResourceNotOpen)
async def get_resource(code: str, principal: CanSee, session: SessionDep) -> ResourceView:
    """Return a resource."""
    if sees_all(principal):
        resource = await queries.resource_by_code(session, code)
        if resource is None:
            raise NotFound
        return _view(resource, None)
    found = await queries.open_resource(session, principal.unit_kind or "", code)
    if found is None:
        raise ResourceNotOpen
    return _view(*found)


@routes.post(
    "/{code}/records",
    dependencies=[Depends(_large_body)],
    openapi_extra={
        "requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string", "format": "binary"}}}}
    },
)
@operation(
    "导入信用记录",
    "Load records from a CSV file",
    NotFound,
    CsvUnreadable,
    TooLarge,
    DatabaseUnavailable,
    no_key=(
        "按文件摘要识别重复：同一文件再次导入不产生新记录",
        "A repeat is recognised by the digest of the file: loading it again adds nothing",
    ),
)
async def load_records(code: str, request: Request, principal: CanLoadResources, runtime: RuntimeDep) -> LoadView:
    """Load records from a CSV (UTF-8, header of field names or labels); the same file again changes nothing."""
    try:
        # No `WriteDep`: claiming a key reads the whole body into memory.
        async with runtime.database.transaction() as session:
            done = await service.load(session, runtime, principal, code, request.stream())
    except LoadedBefore as before:
        async with runtime.database.transaction() as session:
            known = await queries.load_of(session, before.load_id)
        assert known is not None  # loads are never deleted
        return _load_view(known, again=True)
    return _load_view(done)


@routes.get("/{code}/loads")
@operation("查看记录导入情况", "List the loads of a resource", NotFound)
async def list_loads(code: str, _: CanLoadResources, page: PageDep, session: SessionDep) -> Page[LoadView]:
    """Return what was loaded."""
    resource = await queries.resource_by_code(session, code)
    if resource is None:
        raise NotFound
    rows = await queries.loads_of(session, resource.id, page.after, page.limit + 1)
    return page_of(page, rows, _load_view, lambda row: row.id)


@routes.get("/{code}/loads/{load_id}/rejects")
@operation("查看未导入的行", "List the rejected rows of a load", NotFound)
async def list_rejected_rows(
    code: str,
    load_id: UUID,
    _: CanLoadResources,
    session: SessionDep,
    after: Annotated[int, Query(ge=0, description="line after which to go on")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[RejectView]:
    """Return the rows that were not loaded, by line."""
    resource = await queries.resource_by_code(session, code)
    known = await queries.load_of(session, load_id)
    if resource is None or known is None or known.resource_id != resource.id:
        raise NotFound
    rows = await queries.rejects_of(session, load_id, after, limit)
    return [RejectView(line=row.line, field=row.field, reason=row.reason, content=row.content) for row in rows]


def _view(resource: Resource, opening: Opening | None) -> ResourceView:
    return ResourceView(
        id=resource.id,
        code=resource.code,
        kind=resource.kind,
        title=resource.title,
        fields=[spec for spec in resource.specs() if opening is None or spec.name in opening.fields],
        subject_field=resource.subject_field,
        name_field=resource.name_field,
        responsible_unit=resource.responsible_unit,
    )


def _load_view(load: Load, *, again: bool = False) -> LoadView:
    return LoadView(
        id=load.id,
        digest=load.digest,
        loaded=load.loaded,
        repeated=load.repeated,
        rejected=load.rejected,
        loaded_at=load.loaded_at,
        again=again,
    )
