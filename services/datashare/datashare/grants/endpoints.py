"""Endpoints of grants."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import Forbidden, NotFound
from common.web.authorization import client_ip
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from datashare.applications.schemas import Why
from datashare.data_queries.service import usable_grants
from datashare.grants import queries, service
from datashare.grants.models import Grant, Suspension
from datashare.grants.problems import ContainmentHolds, GrantStep
from datashare.grants.schemas import GrantView, SuspensionView
from datashare.openings.schemas import Quota
from datashare.permissions import CanRevokeGrants, CanSee, CanWidenGrants
from datashare.runtime import RuntimeDep
from datashare.sight import own_unit

__all__ = ["routes"]

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
) -> Page[GrantView]:
    """Return the grants of the own unit; authority and center see all. `usable` asks the verdict of a query."""
    if usable:
        ids = sorted(await usable_grants(session, runtime, principal, client_ip(request)))
        wanted = [grant_id for grant_id in ids if page.after is None or grant_id > page.after]
        rows = await queries.grants_under(session, wanted[: page.limit + 1])
    else:
        rows = await queries.grants_of(session, own_unit(principal), page.after, page.limit + 1)
    suspensions = await queries.open_suspensions(session, [grant.id for grant, _ in rows])
    now = runtime.clock.now()
    return page_of(page, rows, lambda row: _view(*row, suspensions.get(row[0].id, ()), now), lambda row: row[0].id)


@routes.get("/{grant_id}")
@operation("查看授权", "Get a grant", NotFound, Forbidden)
async def get_grant(grant_id: UUID, principal: CanSee, session: SessionDep, runtime: RuntimeDep) -> GrantView:
    """Return a grant with everything that ever suspended it."""
    grant = await queries.grant_of(session, grant_id, own_unit(principal))
    if grant is None:
        raise NotFound
    return await _answer(session, grant.id, runtime.clock.now())


@routes.post("/{grant_id}/revoke")
@operation("撤销授权", "Revoke a grant", NotFound, GrantStep)
async def revoke_grant(
    grant_id: UUID, body: Why, principal: CanRevokeGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantView:
    """End a grant for good."""
    grant = await queries.grant_of(write.session, grant_id, None, lock=True)
    if grant is None:
        raise NotFound
    await service.revoke(write.session, runtime, grant, reason=body.reason, by=principal.subject)
    return await _answer(write.session, grant.id, runtime.clock.now())


@routes.post("/{grant_id}/suspensions", status_code=201)
@operation("暂停授权", "Suspend a grant", NotFound, GrantStep)
async def suspend_grant(
    grant_id: UUID, body: Why, principal: CanRevokeGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantView:
    """Suspend a grant by decision of the authority."""
    grant = await service.suspend_by_hand(write.session, runtime, principal, grant_id, body.reason)
    return await _answer(write.session, grant.id, runtime.clock.now())


@routes.post("/{grant_id}/suspensions/{suspension_id}/lift")
@operation("解除授权暂停", "Lift a suspension of a grant", NotFound, ContainmentHolds)
async def lift_grant_suspension(
    grant_id: UUID, suspension_id: UUID, principal: CanWidenGrants, write: WriteDep, runtime: RuntimeDep
) -> GrantView:
    """Lift a suspension that the authority decided; those by containment are lifted at incident, by two people."""
    grant = await service.reinstate_by_hand(write.session, runtime, principal, grant_id, suspension_id)
    return await _answer(write.session, grant.id, runtime.clock.now())


async def _answer(session: AsyncSession, grant_id: UUID, now: datetime) -> GrantView:
    await session.flush()
    row = (await queries.grants_under(session, [grant_id]))[0]
    return _view(*row, await queries.suspensions_of(session, grant_id), now)


def _view(grant: Grant, code: str, suspensions: Sequence[Suspension], now: datetime) -> GrantView:
    still_open = [row for row in suspensions if row.lifted_at is None]
    return GrantView(
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
        suspensions=[SuspensionView.model_validate(row, from_attributes=True) for row in suspensions],
    )
