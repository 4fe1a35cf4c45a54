"""Doors of posts and appointments."""

from typing import Annotated
from uuid import UUID

from fastapi import Query

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.problems import NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.acknowledgements.waiting import effect_on
from identity.permissions import AnyCredential, CanEndAppointments, CanMakeAppointments, CanReadAccounts
from identity.posts import queries, service
from identity.posts.schemas import (
    AppointmentView,
    EndedAppointment,
    EndReason,
    NewAppointment,
    NewPost,
    PostView,
)
from identity.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/identity", "posts")

UnitQuery = Annotated[UUID | None, Query(description="for center and authority: another unit's")]


@routes.get("/posts")
async def list_posts(
    principal: AnyCredential,
    page: PageDep,
    session: SessionDep,
    unit: UnitQuery = None,
) -> Page[PostView]:
    """Return the posts of the own unit."""
    rows = await queries.posts_page(session, _unit(principal, unit), page.after, page.limit + 1)
    return page_of(page, rows, PostView.of, lambda row: row.id)


@routes.post("/posts", status_code=201)
async def define_post(body: NewPost, principal: CanMakeAppointments, write: WriteDep, runtime: RuntimeDep) -> PostView:
    """Add a post to the own unit."""
    post = await service.define_post(
        write.session, runtime, principal, name=body.name, title=body.title, permissions=body.permissions
    )
    return PostView.of(post)


@routes.get("/appointments")
async def list_appointments(
    principal: CanReadAccounts,
    page: PageDep,
    session: SessionDep,
    unit: UnitQuery = None,
    account_id: UUID | None = None,
) -> Page[AppointmentView]:
    """Return the appointments in the own unit, ended ones too."""
    rows = await queries.appointments_page(session, _unit(principal, unit), account_id, page.after, page.limit + 1)
    return page_of(page, rows, lambda row: AppointmentView.of(*row), lambda row: row[0].id)


@routes.post("/appointments", status_code=201)
async def make_appointment(
    body: NewAppointment, principal: CanMakeAppointments, write: WriteDep, runtime: RuntimeDep
) -> AppointmentView:
    """Appoint somebody else of the own unit to one of its posts."""
    row, post = await service.make(
        write.session, runtime, principal, account_id=body.account_id, post_id=body.post_id, until=body.until
    )
    return AppointmentView.of(row, post)


@routes.post("/appointments/{appointment_id}/end")
async def end_appointment(
    appointment_id: UUID, body: EndReason, principal: CanEndAppointments, runtime: RuntimeDep
) -> EndedAppointment:
    """End an appointment; answers when no enforcement point accepts a token with its permissions any more."""
    async with runtime.database.transaction() as session:
        row = await service.end_appointment(session, runtime, principal, appointment_id, note=body.reason)
        post = await queries.post_of(session, row.post_id, row.unit_id)
        assert post is not None
    effective = await effect_on(runtime, f"account:{row.account_id}")
    return EndedAppointment(appointment=AppointmentView.of(row, post), effective=effective)


def _unit(principal: Principal, asked: UUID | None) -> UUID:
    if principal.unit is None:
        raise NotFound
    if asked is None or asked == principal.unit:
        return principal.unit
    if principal.unit_kind not in (UnitKind.AUTHORITY, UnitKind.CENTER):
        raise NotFound
    return asked
