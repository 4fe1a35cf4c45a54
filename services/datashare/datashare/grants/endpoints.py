"""Endpoints of grants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.authorization import client_ip
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from datashare.data_queries.service import list_usable_grants
from datashare.grants import queries, service
from datashare.grants.models import Grant, Suspension
from datashare.grants.problems import ContainmentHolds, GrantStep
from datashare.grants.schemas import GrantResponse, SuspensionResponse
from datashare.permissions import CanRevokeGrants, CanSee, CanWidenGrants
from datashare.resources.queries import get_resource_by_id
from datashare.runtime import RuntimeDep
from datashare.schemas import Quota, ReasonRequest

routes = router("/datashare/grants", "grants")


@routes.get("")
@operation("查看授权列表", "List grants", Forbidden)
async def list_grants(
    request: Request,
    *,
    principal: CanSee,
    page: PageDep,
    session: SessionDep,
    runtime: RuntimeDep,
    usable: Annotated[bool, Query(description="only those under which the caller could query now")] = False,
) -> Page[GrantResponse]:
    """Return the grants of the caller's unit; authority and center see all. `usable` applies the verdict of a query."""
    if usable:
        ids = await list_usable_grants(session, runtime, principal, client_ip(request))
        grants = await queries.list_grants(session, principal.unit, page, ids=ids)
    else:
        grants = await queries.list_grants(session, visible_unit(principal), page)
    suspensions = await queries.list_open_suspensions(session, [grant.id for grant, _ in grants.rows])
    now = runtime.clock.now()
    return Page.of(grants, lambda row: _view(*row, suspensions.get(row[0].id, ()), now))


@routes.get("/{grant_id}")
@operation("查看授权", "Get a grant", NotFound, Forbidden)
async def get_grant(grant_id: UUID, principal: CanSee, session: SessionDep, runtime: RuntimeDep) -> GrantResponse:
    """Return a grant with all its suspensions."""
    grant = await queries.get_grant(session, grant_id, visible_unit(principal))
    if grant is None:
        raise NotFound
    return await _response(session, grant, runtime.clock.now())


@routes.post("/{grant_id}/revoke")
@operation("撤销授权", "Revoke a grant", NotFound, GrantStep)
async def revoke_grant(
    grant_id: UUID, body: ReasonRequest, principal: CanRevokeGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantResponse:
    """End a grant for good."""
    grant = await service.revoke_by_decision(write.session, runtime, principal, grant_id, body.reason)
    return await _response(write.session, grant, runtime.clock.now())


@routes.post("/{grant_id}/suspensions", status_code=201)
@operation("暂停授权", "Suspend a grant", NotFound, GrantStep)
async def suspend_grant(
    grant_id: UUID, body: ReasonRequest, principal: CanRevokeGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantResponse:
    """Suspend a grant by decision of the authority."""
    grant = await service.suspend_by_decision(write.session, runtime, principal, grant_id, body.reason)
    return await _response(write.session, grant, runtime.clock.now())


@routes.post("/{grant_id}/suspensions/{suspension_id}/lift")
@operation("解除授权暂停", "Lift a suspension of a grant", NotFound, ContainmentHolds)
async def lift_grant_suspension(
    grant_id: UUID, suspension_id: UUID, principal: CanWidenGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantResponse:
    """Lift a suspension that the authority decided; those by containment are lifted at incident, by two people."""
    grant = await service.reinstate_by_decision(write.session, runtime, principal, grant_id, suspension_id)
    return await _response(write.session, grant, runtime.clock.now())


async def _response(session: AsyncSession, grant: Grant, now: datetime) -> GrantResponse:
    await session.flush()
    resource = await get_resource_by_id(session, grant.resource_id)
    return _view(grant, resource.code, await queries.list_suspensions(session, grant.id), now)


def _view(grant: Grant, code: str, suspensions: Sequence[Suspension], now: datetime) -> GrantResponse:
    still_open = [row for row in suspensions if row.lifted_at is None]
    return GrantResponse(
        id=grant.id,
        unit_id=grant.unit_id,
        resource=code,
        agreement_id=grant.agreement_id,
        systems=grant.systems,
        purposes=grant.purposes,
        fields=grant.fields,
        origins=[str(origin) for origin in grant.origins],
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        quota=Quota(calls=grant.quota_calls, rows=grant.quota_rows, subjects=grant.quota_subjects),
        state=grant.state(still_open),
        expired=not grant.valid_from <= now < grant.valid_until,
        revoked_at=grant.revoked_at,
        revoked_for=grant.revoked_for,
        suspensions=[SuspensionResponse.model_validate(row, from_attributes=True) for row in suspensions],
    )
