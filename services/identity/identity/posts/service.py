"""Defines posts, makes and ends appointments."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import AppointmentEnded, AppointmentMade
from common.contracts.permissions import PERMISSIONS, POSTS
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts.models import Account, AccountState
from identity.accounts.problems import AccountStep
from identity.accounts.queries import lock_account
from identity.cutoffs.service import cut_off
from identity.posts.models import Appointment, Post
from identity.posts.problems import (
    AppointmentKnown,
    AppointmentTerm,
    PostBeyondKind,
    PostTaken,
    PostUnknown,
    SelfAppointment,
)
from identity.posts.queries import get_appointment, get_post, get_post_by_name, list_open_appointments
from identity.runtime import Runtime
from identity.units.models import Unit

END_REASON = "appointment-ended"
DEFAULT_POST_TITLES = {
    "authority-officer": "主管部门经办岗",
    "center-officer": "信用中心经办岗",
    "unit-administrator": "单位管理岗",
    "credit-clerk": "信用信息经办岗",
}


def create_default_posts(session: AsyncSession, runtime: Runtime, unit: Unit) -> None:
    """Give a new unit the posts of its kind."""
    now = runtime.clock.now()
    for name, permissions in POSTS[UnitKind(unit.kind)].items():
        session.add(
            Post(
                id=new_id(),
                unit_id=unit.id,
                name=name,
                title=DEFAULT_POST_TITLES[name],
                permissions=list(permissions),
                made_at=now,
            )
        )


async def define_post(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    name: str,
    title: str,
    permissions: Collection[str],
) -> Post:
    """Add a post to the caller's unit. Clauses 6.2, 7.5. Raises `PostBeyondKind`, `PostTaken`."""
    assert principal.unit is not None
    assert principal.unit_kind is not None
    beyond = [p for p in permissions if p not in PERMISSIONS or principal.unit_kind not in PERMISSIONS[p].kinds]
    if beyond:
        raise PostBeyondKind(permissions=sorted(beyond))
    if await get_post_by_name(session, principal.unit, name):
        raise PostTaken
    post = Post(
        id=new_id(),
        unit_id=principal.unit,
        name=name,
        title=title,
        permissions=sorted(set(permissions)),
        made_at=runtime.clock.now(),
    )
    session.add(post)
    return post


async def make_appointment(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    account_id: UUID,
    post_id: UUID,
    until: datetime | None,
) -> tuple[Appointment, Post]:
    """Appoint a person of the caller's unit; their next token has the permissions. Clause 6.2.

    Raises `NotFound`, `SelfAppointment`, `AccountStep` for a suspended or revoked account, `PostUnknown`,
    `AppointmentTerm`, `AppointmentKnown`.
    """
    assert principal.unit is not None
    if account_id == principal.uuid:
        raise SelfAppointment
    account = await lock_account(session, account_id, principal.unit)
    if account is None:
        raise NotFound
    if account.state not in (AccountState.INVITED, AccountState.ACTIVE):
        raise AccountStep(state=account.state)
    post = await get_post(session, post_id, principal.unit)
    if post is None:
        raise PostUnknown
    now = runtime.clock.now()
    if until is not None and until <= now:
        raise AppointmentTerm
    held = await list_open_appointments(session, account.id)
    if any(row.post_id == post.id and row.holds_at(now) for row in held):
        raise AppointmentKnown
    return await appoint(session, runtime, account, post, by=principal.uuid, until=until), post


async def appoint(
    session: AsyncSession,
    runtime: Runtime,
    account: Account,
    post: Post,
    *,
    by: UUID | None,
    until: datetime | None = None,
) -> Appointment:
    """Append an appointment; the account's row is locked."""
    now = runtime.clock.now()
    row = Appointment(
        id=new_id(),
        account_id=account.id,
        unit_id=account.unit_id,
        post_id=post.id,
        made_by=by,
        made_at=now,
        until=until,
    )
    session.add(row)
    event = AppointmentMade(
        appointment_id=row.id,
        account_id=account.id,
        unit_id=account.unit_id,
        post_id=post.id,
        post=post.name,
        permissions=post.permissions,
    )
    outbox.add(session, event, at=now)
    return row


async def end_appointment(
    session: AsyncSession, runtime: Runtime, principal: Principal, appointment_id: UUID, *, note: str
) -> Appointment:
    """End an appointment in the caller's unit, and all tokens of the account; its sessions continue without the permissions.

    Raises `NotFound`, `AppointmentEnded`.
    """
    assert principal.unit is not None
    row = await get_appointment(session, appointment_id, principal.unit)
    if row is None:
        raise NotFound
    account = await lock_account(session, row.account_id, principal.unit)
    assert account is not None
    row = await get_appointment(session, appointment_id, principal.unit)
    assert row is not None
    _end(session, runtime, row, by=principal.uuid, reason=END_REASON, note=note)
    await cut_off(session, runtime, account.subject, reason=END_REASON, cause=f"appointment:{row.id}")
    return row


async def end_appointments(session: AsyncSession, runtime: Runtime, account: Account, *, reason: str) -> None:
    """End all appointments of an account that the caller revokes and cuts off."""
    for row in await list_open_appointments(session, account.id):
        _end(session, runtime, row, by=None, reason=reason, note=reason)


def _end(session: AsyncSession, runtime: Runtime, row: Appointment, *, by: UUID | None, reason: str, note: str) -> None:
    now = runtime.clock.now()
    row.end(now, by, note)
    event = AppointmentEnded(appointment_id=row.id, account_id=row.account_id, unit_id=row.unit_id, reason=reason)
    outbox.add(session, event, at=now)
