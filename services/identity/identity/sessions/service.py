"""Opens, refreshes and ends sessions."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.context import bind_actor
from common.contracts.events.identity import SessionEnded, SessionOpened, SessionRefreshed
from common.contracts.policies import POLICIES
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts.models import Account, AccountState
from identity.accounts.queries import lock_account
from identity.cutoffs.service import cut_off
from identity.posts.queries import list_held_appointments
from identity.runtime import Runtime
from identity.sessions.models import RefreshToken, Session
from identity.sessions.problems import RefreshRefused
from identity.sessions.queries import (
    get_refresh_token,
    get_session,
    lock_open_sessions_of_account,
    lock_open_sessions_of_unit,
    lock_refresh_token,
    lock_session,
)
from identity.tokens.service import IssuedToken, mint
from identity.units.models import Unit
from identity.units.queries import lock_unit_state

REFRESH_BYTES = 32
MIN_TOKEN_TERM = timedelta(seconds=1)
"""Tokens have times in whole seconds, so a shorter one would have expired when issued."""


@dataclass(frozen=True, slots=True)
class SessionTokens:
    """The tokens of a session; the refresh token itself is not stored."""

    access: IssuedToken
    refresh: str
    session: Session
    permissions: list[str]


async def open_session(
    session: AsyncSession, runtime: Runtime, account: Account, unit: Unit, *, origin: str
) -> SessionTokens:
    """Open a session. The caller holds the row locks of account and unit."""
    now = runtime.clock.now()
    term = timedelta(seconds=runtime.policies.at("session-term", now).value)
    row = Session(id=new_id(), account_id=account.id, origin=origin, opened_at=now, expires_at=now + term)
    session.add(row)
    await session.flush()
    bind_actor(actor=account.subject, unit=str(unit.id))
    outbox.add(session, SessionOpened(session_id=row.id, account_id=account.id, origin=origin), at=now)
    return await _tokens(session, runtime, account, unit, row)


async def refresh(runtime: Runtime, token: str) -> SessionTokens:
    """Exchange a refresh token for new tokens with the current permissions. Raises `RefreshRefused`.

    A token used twice ends its session, because it may be stolen. After a lost answer, the person signs in again.
    """
    async with runtime.database.transaction() as session:
        outcome = await _refresh(session, runtime, hashlib.sha256(token.encode()).digest())
    # Raised after the commit, so that the end of the session by a second use is not rolled back.
    if isinstance(outcome, RefreshRefused):
        raise outcome
    return outcome


async def _refresh(session: AsyncSession, runtime: Runtime, digest: bytes) -> SessionTokens | RefreshRefused:
    known = await get_refresh_token(session, digest)
    if known is None:
        return RefreshRefused(reason="unknown")
    known_session = await get_session(session, known.session_id)
    assert known_session is not None
    # Every path locks account, unit, session in this order: a suspension comes before all of this or after.
    account = await lock_account(session, known_session.account_id, None)
    assert account is not None
    unit = await lock_unit_state(session, account.unit_id)
    assert unit is not None
    row = await lock_session(session, known_session.id)
    used = await lock_refresh_token(session, digest)
    assert row is not None
    assert used is not None
    now = runtime.clock.now()
    if row.ended_at is not None:
        return RefreshRefused(reason="ended")
    if used.used_at is not None:
        await _end(session, runtime, [row], reason="refresh-token-reused")
        await _cut_off(session, runtime, row, reason="refresh-token-reused")
        return RefreshRefused(reason="reused")
    if row.expires_at - now < MIN_TOKEN_TERM:
        return RefreshRefused(reason="expired")
    if account.state != AccountState.ACTIVE:
        return RefreshRefused(reason=f"account-{account.state}")
    if not unit.active:
        return RefreshRefused(reason=f"unit-{unit.state}")
    used.used_at = now
    await session.flush()
    bind_actor(actor=account.subject, unit=str(unit.id))
    outbox.add(session, SessionRefreshed(session_id=row.id, account_id=account.id), at=now)
    return await _tokens(session, runtime, account, unit, row)


async def _tokens(session: AsyncSession, runtime: Runtime, account: Account, unit: Unit, row: Session) -> SessionTokens:
    now = runtime.clock.now()
    token = secrets.token_urlsafe(REFRESH_BYTES)
    session.add(RefreshToken(hash=hashlib.sha256(token.encode()).digest(), session_id=row.id, issued_at=now))
    appointments = await list_held_appointments(session, account.id, now + MIN_TOKEN_TERM)
    permissions = sorted({permission for _, post in appointments for permission in post.permissions})
    # No token outlives an appointment that gives it permissions (P7).
    until = min([row.expires_at, *(each.until for each, _ in appointments if each.until)])
    access = await mint(
        session, runtime, subject=account.subject, unit=unit, permissions=permissions, sid=row.id, until=until
    )
    return SessionTokens(access, token, row, permissions)


async def sign_out(session: AsyncSession, runtime: Runtime, session_id: UUID | None) -> Session:
    """End the session and its tokens; a repeat changes nothing. Raises `NotFound` for a credential without a session."""
    row = await lock_session(session, session_id) if session_id else None
    if row is None:
        raise NotFound
    if row.ended_at is None:
        await _end(session, runtime, [row], reason="signed-out")
        await _cut_off(session, runtime, row, reason="signed-out")
    return row


async def end_sessions_of_account(session: AsyncSession, runtime: Runtime, account_id: UUID, *, reason: str) -> None:
    """End all sessions of an account, whose row the caller has locked; the account's cutoff ends the access tokens."""
    await _end(session, runtime, await lock_open_sessions_of_account(session, account_id), reason=reason)


async def end_sessions_of_unit(session: AsyncSession, runtime: Runtime, unit_id: UUID, *, reason: str) -> None:
    """End all sessions of a unit, whose row the caller has locked; the unit's cutoff ends the access tokens."""
    await _end(session, runtime, await lock_open_sessions_of_unit(session, unit_id), reason=reason)


async def _end(session: AsyncSession, runtime: Runtime, rows: Sequence[Session], *, reason: str) -> None:
    now = runtime.clock.now()
    for row in rows:
        row.end(now, reason)
        event = SessionEnded(session_id=row.id, account_id=row.account_id, reason=reason)
        outbox.add(session, event, at=now)
    await session.flush()


async def _cut_off(session: AsyncSession, runtime: Runtime, row: Session, *, reason: str) -> None:
    await cut_off(session, runtime, row.subject, reason=reason, until=_last_token_expiry(runtime.clock.now()))


def _last_token_expiry(now: datetime) -> datetime:
    """Return when every access token of a session has expired, under any version of the policy."""
    return now + timedelta(seconds=POLICIES["access-token-term"].most)
