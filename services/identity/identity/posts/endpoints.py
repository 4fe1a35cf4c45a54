"""Endpoints of posts and appointments."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from common.enforcement.principals import Principal
from common.enforcement.tenancy import requested_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.accounts.problems import AccountStep
from identity.acknowledgements.waiting import commit_and_wait
from identity.permissions import AnyCredential, CanEndAppointments, CanMakeAppointments, CanReadAccounts
from identity.posts import queries, service
from identity.posts.problems import (
    AppointmentEnded,
    AppointmentKnown,
    AppointmentTerm,
    PostBeyondKind,
    PostTaken,
    PostUnknown,
    SelfAppointment,
)
from identity.posts.schemas import (
    AppointmentEffectResponse,
    AppointmentRequest,
    AppointmentResponse,
    PostRequest,
    PostResponse,
)
from identity.runtime import RuntimeDep
from identity.schemas import ReasonRequest

routes = router("/identity", "posts")

UnitQuery = Annotated[UUID | None, Query(description="for center and authority: another unit's")]


@routes.get("/posts")
@operation("查看岗位列表", "List posts", NotFound, Forbidden)
async def list_posts(
    principal: AnyCredential,
    page: PageDep,
    session: SessionDep,
    unit: UnitQuery = None,
) -> Page[PostResponse]:
    """Return the posts of the caller's unit, or of the requested one."""
    return Page.of(await queries.list_posts(session, _unit(principal, unit), page), PostResponse.of)


@routes.post("/posts", status_code=201)
@operation("设置岗位", "Define a post", PostBeyondKind, PostTaken)
async def define_post(
    body: PostRequest, principal: CanMakeAppointments, write: WriteDep, runtime: RuntimeDep
) -> PostResponse:
    """Add a post to the caller's unit."""
    post = await service.define_post(
        write.session, runtime, principal, name=body.name, title=body.title, permissions=body.permissions
    )
    return PostResponse.of(post)


@routes.get("/appointments")
@operation("查看任职列表", "List appointments", NotFound, Forbidden)
async def list_appointments(
    principal: CanReadAccounts,
    page: PageDep,
    session: SessionDep,
    unit: UnitQuery = None,
    account_id: UUID | None = None,
) -> Page[AppointmentResponse]:
    """Return the appointments in the caller's unit or the requested one, ended ones too."""
    rows = await queries.list_appointments(session, _unit(principal, unit), account_id, page)
    return Page.of(rows, lambda row: AppointmentResponse.of(*row))


@routes.post("/appointments", status_code=201)
@operation(
    "任命",
    "Make an appointment",
    NotFound,
    SelfAppointment,
    AccountStep,
    PostUnknown,
    AppointmentTerm,
    AppointmentKnown,
)
async def make_appointment(
    body: AppointmentRequest, principal: CanMakeAppointments, write: WriteDep, runtime: RuntimeDep
) -> AppointmentResponse:
    """Appoint another person of the caller's unit to one of its posts."""
    row, post = await service.make_appointment(
        write.session, runtime, principal, account_id=body.account_id, post_id=body.post_id, until=body.until
    )
    return AppointmentResponse.of(row, post)


@routes.post("/appointments/{appointment_id}/end")
@operation("免去任职", "End an appointment", NotFound, AppointmentEnded)
async def end_appointment(
    appointment_id: UUID, body: ReasonRequest, principal: CanEndAppointments, write: WriteDep, runtime: RuntimeDep
) -> AppointmentEffectResponse:
    """End an appointment; wait until no enforcement point accepts a token with its permissions."""
    row = await service.end_appointment(write.session, runtime, principal, appointment_id, note=body.reason)
    post = await queries.get_post(write.session, row.post_id, row.unit_id)
    assert post is not None
    view = AppointmentResponse.of(row, post)
    return await commit_and_wait(
        write,
        runtime,
        f"account:{row.account_id}",
        lambda effective: AppointmentEffectResponse(appointment=view, effective=effective),
    )


def _unit(principal: Principal, unit: UUID | None) -> UUID:
    """Return the requested unit, by default the caller's own."""
    found = requested_unit(principal, unit or principal.unit)
    if found is None:
        raise NotFound
    return found
