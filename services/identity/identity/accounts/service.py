"""Invites people; suspends, reinstates and revokes accounts. Every path uses these functions (P2)."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from stdnum.cn import ric

from common.contracts.events.identity import AccountInvited, AccountReinstated, AccountRevoked, AccountSuspended
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts.models import Account, AccountState, Invitation
from identity.accounts.problems import AccountStep, IdNumberInvalid, LoginTaken, PersonHasAccount
from identity.accounts.queries import (
    get_account_by_login,
    get_newest_invitation,
    lock_account,
    lock_open_invitation,
    person_has_account,
)
from identity.cutoffs.service import cut_off
from identity.posts import service as posts
from identity.posts.models import Post
from identity.posts.queries import get_post, get_post_by_name
from identity.runtime import Runtime
from identity.sessions import service as sessions
from identity.suspensions import service as suspensions
from identity.units.models import Unit
from identity.units.problems import UnitNotActive
from identity.units.queries import get_unit, lock_unit_state

ADMINISTRATOR_POST = "unit-administrator"
CODE_BYTES = 16


@dataclass(frozen=True, slots=True)
class IssuedInvitation:
    """An invited account with its activation code, of which only the hash is stored."""

    account: Account
    code: str
    expires_at: datetime


def code_hash(code: str) -> bytes:
    """Return the hash of an activation code as stored: the code is random, so one hash is enough."""
    return hashlib.sha256(code.encode()).digest()


async def invite_administrator(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    unit_id: UUID,
    name: str,
    login: str,
    id_number: str,
) -> IssuedInvitation:
    """Invite the administrator of a using unit, appointed on activation. Raises `NotFound`, and as `invite` does."""
    unit = await get_unit(session, unit_id)
    if unit is None or not unit.uses:
        raise NotFound
    post = await get_post_by_name(session, unit.id, ADMINISTRATOR_POST)
    return await invite(
        session, runtime, unit, name=name, login=login, id_number=id_number, by=principal.uuid, post=post
    )


async def invite(
    session: AsyncSession,
    runtime: Runtime,
    unit: Unit,
    *,
    name: str,
    login: str,
    id_number: str,
    by: UUID | None,
    post: Post | None = None,
) -> IssuedInvitation:
    """Invite a person into `unit`; `post` is taken up on activation. Clause 7.6: one person, one account.

    Raises `UnitNotActive`, `IdNumberInvalid`, `PersonHasAccount`, `LoginTaken`.
    """
    locked = await lock_unit_state(session, unit.id)
    if locked is None or not locked.active:
        raise UnitNotActive
    if not ric.is_valid(id_number):
        raise IdNumberInvalid
    person = runtime.settings.digest("person", ric.compact(id_number))
    if await person_has_account(session, person):
        raise PersonHasAccount
    if await get_account_by_login(session, login):
        raise LoginTaken
    now = runtime.clock.now()
    account = Account(
        id=new_id(), unit_id=unit.id, name=name, login=login, person=person, invited_at=now, invited_by=by
    )
    session.add(account)
    await session.flush()
    event = AccountInvited(account_id=account.id, unit_id=unit.id, invited_by=f"account:{by}" if by else None)
    outbox.add(session, event, at=now)
    return _invitation(session, runtime, account, by=by, post_id=post.id if post else None)


async def renew_invitation(
    session: AsyncSession, runtime: Runtime, principal: Principal, account_id: UUID
) -> IssuedInvitation:
    """Issue a new code for an account that is not active yet; the previous code ends.

    A principal that may invite administrators renews their codes in any unit. Raises `NotFound`, `AccountStep`.
    """
    account = await lock_account(session, account_id, None)
    if account is None:
        raise NotFound
    last = await get_newest_invitation(session, account.id)
    if account.unit_id != principal.unit and not (
        principal.has("administrators.invite") and await _invites_administrator(session, account, last)
    ):
        raise NotFound
    if account.state != AccountState.INVITED:
        raise AccountStep(state=account.state)
    await _end_invitation(session, runtime, account)
    return _invitation(session, runtime, account, by=principal.uuid, post_id=last.post_id if last else None)


async def _invites_administrator(session: AsyncSession, account: Account, invitation: Invitation | None) -> bool:
    if invitation is None or invitation.post_id is None:
        return False
    post = await get_post(session, invitation.post_id, account.unit_id)
    return post is not None and post.name == ADMINISTRATOR_POST


def _invitation(
    session: AsyncSession, runtime: Runtime, account: Account, *, by: UUID | None, post_id: UUID | None
) -> IssuedInvitation:
    now = runtime.clock.now()
    code = secrets.token_urlsafe(CODE_BYTES)
    expires_at = now + timedelta(seconds=runtime.policies.at("invitation-term", now).value)
    session.add(
        Invitation(
            id=new_id(),
            account_id=account.id,
            code_hash=code_hash(code),
            made_at=now,
            expires_at=expires_at,
            invited_by=by,
            post_id=post_id,
        )
    )
    return IssuedInvitation(account, code, expires_at)


async def suspend(
    session: AsyncSession, runtime: Runtime, account_id: UUID, *, reason: str, cause: str, note: str | None = None
) -> bool:
    """Suspend the account as `suspensions.suspend` does, and end its sessions and its invitation. Clause 6.5.

    Return False for an unknown account, and when this cause suspends it already.
    """
    account = await lock_account(session, account_id, None)
    if account is None or not await suspensions.suspend(
        session, runtime, account, reason=reason, cause=cause, note=note
    ):
        return False
    if account.state == AccountState.SUSPENDED:
        await sessions.end_sessions_of_account(session, runtime, account.id, reason=reason)
        await _end_invitation(session, runtime, account)
        event = AccountSuspended(account_id=account.id, unit_id=account.unit_id, reason=reason, cause=cause)
        outbox.add(session, event, at=runtime.clock.now())
    return True


async def reinstate(session: AsyncSession, runtime: Runtime, account_id: UUID, *, cause: str) -> bool:
    """Lift the suspension by this cause; True when no other cause keeps the account suspended."""
    account = await lock_account(session, account_id, None)
    if account is None or not await suspensions.reinstate(session, runtime, account, cause=cause):
        return False
    event = AccountReinstated(account_id=account.id, unit_id=account.unit_id, cause=cause)
    outbox.add(session, event, at=runtime.clock.now())
    return True


async def revoke(session: AsyncSession, runtime: Runtime, account_id: UUID, *, reason: str, cause: str) -> bool:
    """Revoke the account: factors, sessions, invitation, appointments and every token end. Clauses 3.1, 6.5.

    Return False for an unknown or revoked account.
    """
    account = await lock_account(session, account_id, None)
    if account is None or account.state == AccountState.REVOKED:
        return False
    now = runtime.clock.now()
    account.revoke(now)
    await sessions.end_sessions_of_account(session, runtime, account.id, reason=reason)
    await _end_invitation(session, runtime, account)
    await posts.end_appointments(session, runtime, account, reason=reason)
    await cut_off(session, runtime, account.subject, reason=reason, cause=cause)
    event = AccountRevoked(account_id=account.id, unit_id=account.unit_id, reason=reason, cause=cause)
    outbox.add(session, event, at=now)
    return True


async def _end_invitation(session: AsyncSession, runtime: Runtime, account: Account) -> None:
    invitation = await lock_open_invitation(session, account.id)
    if invitation:
        invitation.end(runtime.clock.now())
        await session.flush()
