"""Reads sessions and refresh tokens."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from identity.accounts.models import Account
from identity.sessions.models import RefreshToken, Session, SignInAttempts

__all__ = [
    "attempts_of",
    "forget_attempts",
    "open_sessions_of_account",
    "open_sessions_of_unit",
    "purge_attempts",
    "refresh_token_of",
    "session_of",
]

PURGED = 20
"""Old rows that one sign-in removes: more than it adds."""


async def refresh_token_of(session: AsyncSession, digest: bytes, *, lock: bool = False) -> RefreshToken | None:
    """Return a refresh token."""
    query = select(RefreshToken).where(RefreshToken.hash == digest)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    token: RefreshToken | None = await session.scalar(query)
    return token


async def session_of(session: AsyncSession, session_id: UUID, *, lock: bool = False) -> Session | None:
    """Return a session."""
    query = select(Session).where(Session.id == session_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    row: Session | None = await session.scalar(query)
    return row


async def open_sessions_of_account(session: AsyncSession, account_id: UUID) -> Sequence[Session]:
    """Return what did not end, locked, as it is now."""
    query = select(Session).where(Session.account_id == account_id, Session.ended_at.is_(None)).order_by(Session.id)
    return (
        await session.scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    ).all()


async def open_sessions_of_unit(session: AsyncSession, unit_id: UUID) -> Sequence[Session]:
    """Return what did not end of all people of a unit, locked, as it is now."""
    query = (
        select(Session)
        .join(Account, Session.account_id == Account.id)
        .where(Account.unit_id == unit_id, Session.ended_at.is_(None))
        .order_by(Session.id)
        .with_for_update(key_share=True, of=Session)
    )
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


async def attempts_of(session: AsyncSession, login: bytes, now: datetime) -> SignInAttempts:
    """Return the attempts of a login, locked; a first one begins at none."""
    row = insert(SignInAttempts).values(login=login, failures=0, failed_at=now)
    await session.execute(row.on_conflict_do_nothing())
    query = select(SignInAttempts).where(SignInAttempts.login == login).with_for_update()
    attempts: SignInAttempts | None = await session.scalar(query.execution_options(populate_existing=True))
    if attempts is None:  # removed between the two statements, by a success
        attempts = SignInAttempts(login=login, failures=0, failed_at=now)
        session.add(attempts)
    return attempts


async def forget_attempts(session: AsyncSession, login: bytes) -> None:
    """Begin anew, after a success."""
    await session.execute(delete(SignInAttempts).where(SignInAttempts.login == login))


async def purge_attempts(session: AsyncSession, before: datetime) -> None:
    """Remove some rows that count no more, so that inventing logins fills nothing."""
    old = (
        select(SignInAttempts.login)
        .where(SignInAttempts.failed_at < before)
        .order_by(SignInAttempts.failed_at)
        .limit(PURGED)
        .with_for_update(skip_locked=True)
    )
    logins = (await session.scalars(old)).all()
    if logins:
        await session.execute(delete(SignInAttempts).where(SignInAttempts.login.in_(logins)))
