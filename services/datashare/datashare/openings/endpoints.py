"""Endpoints of openings."""

from fastapi import Response

from common.enforcement.tenancy import sees_all_units
from common.problems import NotFound
from common.web.dependencies import IfMatchDep, SessionDep, WriteDep, etag
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from datashare.openings import queries, service
from datashare.openings.models import Opening
from datashare.openings.problems import OpeningBeyondPolicy, OpeningFieldUnknown, ResourceNotOpen
from datashare.openings.schemas import OpeningRequest, OpeningResponse
from datashare.permissions import CanSee, CanSetOpenings
from datashare.resources.queries import get_resource
from datashare.runtime import RuntimeDep
from datashare.schemas import Quota, ReasonRequest

routes = router("/datashare/resources/{code}/opening", "openings")


@routes.put("")
@operation("设定资源开放范围", "Set the opening of a resource", NotFound, OpeningFieldUnknown, OpeningBeyondPolicy)
async def set_opening(
    code: str,
    body: OpeningRequest,
    response: Response,
    *,
    principal: CanSetOpenings,
    if_match: IfMatchDep,
    write: WriteDep,
    runtime: RuntimeDep,
) -> OpeningResponse:
    """Set the opening; a later version names in `If-Match` the one that it replaces. Live grants narrow at once."""
    resource, opening = await service.set_opening(write.session, runtime, principal, code, body, if_match=if_match)
    response.headers.update(etag(opening.version))
    return _view(resource.code, opening)


@routes.get("")
@operation("查看资源开放范围", "Get the opening of a resource", NotFound, ResourceNotOpen)
async def get_opening(code: str, response: Response, principal: CanSee, session: SessionDep) -> OpeningResponse:
    """Return the newest version of the opening."""
    resource = await get_resource(session, code)
    opening = await queries.get_current_opening(session, resource.id) if resource else None
    if not sees_all_units(principal) and (
        opening is None or opening.withdrawn or principal.unit_kind not in opening.unit_kinds
    ):
        raise ResourceNotOpen
    if resource is None or opening is None:
        raise NotFound
    response.headers.update(etag(opening.version))
    return _view(resource.code, opening)


@routes.post("/withdraw")
@operation("停止开放资源", "Withdraw the opening of a resource", NotFound)
async def withdraw_opening(
    code: str,
    body: ReasonRequest,
    response: Response,
    *,
    principal: CanSetOpenings,
    if_match: IfMatchDep,
    write: WriteDep,
    runtime: RuntimeDep,
) -> OpeningResponse:
    """Close the resource; every grant on it stops at once."""
    resource, opening = await service.withdraw_opening(
        write.session, runtime, principal, code, body.reason, if_match=if_match
    )
    response.headers.update(etag(opening.version))
    return _view(resource.code, opening)


@routes.get("/versions")
@operation("查看资源开放范围的历次版本", "List the versions of an opening", NotFound, ResourceNotOpen)
async def list_opening_versions(
    code: str, principal: CanSee, page: PageDep, session: SessionDep
) -> Page[OpeningResponse]:
    """Return every version, oldest first: for authority and center."""
    if not sees_all_units(principal):
        raise ResourceNotOpen
    resource = await get_resource(session, code)
    if resource is None:
        raise NotFound
    rows = await queries.list_openings(session, resource.id, page)
    return Page.of(rows, lambda row: _view(resource.code, row))


def _view(code: str, opening: Opening) -> OpeningResponse:
    return OpeningResponse(
        id=opening.id,
        resource=code,
        version=opening.version,
        fields=opening.fields,
        purposes=opening.purposes,
        unit_kinds=opening.unit_kinds,
        longest_term_days=opening.longest_term_days,
        quota=Quota(calls=opening.quota_calls, rows=opening.quota_rows, subjects=opening.quota_subjects),
        withdrawn=opening.withdrawn,
        reason=opening.reason,
        set_at=opening.set_at,
    )
