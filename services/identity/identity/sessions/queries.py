"""Queries of sessions and refresh tokens."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from identity.accounts.models import Account
from identity.sessions.models import RefreshToken, Session, SignInAttempts

DELETE_BATCH_SIZE = 20
"""Rows that one sign-in deletes at most: more than it adds."""


async def get_refresh_token(session: AsyncSession, digest: bytes) -> RefreshToken | None:
    """Return a refresh token."""
    token: RefreshToken | None = await session.scalar(select(RefreshToken).where(RefreshToken.hash == digest))
    return token


async def lock_refresh_token(session: AsyncSession, digest: bytes) -> RefreshToken | None:
    """Return a refresh token, locked for a change."""
    query = for_update(select(RefreshToken).where(RefreshToken.hash == digest))
    token: RefreshToken | None = await session.scalar(query)
    return token


async def get_session(session: AsyncSession, session_id: UUID) -> Session | None:
    """Return a session."""
    row: Session | None = await session.scalar(select(Session).where(Session.id == session_id))
    return row


async def lock_session(session: AsyncSession, session_id: UUID) -> Session | None:
    """Return a session, locked for a change."""
    row: Session | None = await session.scalar(for_update(select(Session).where(Session.id == session_id)))
    return row


async def lock_open_sessions_of_account(session: AsyncSession, account_id: UUID) -> Sequence[Session]:
    """Return the sessions of an account that have not ended, locked for a change."""
    query = select(Session).where(Session.account_id == account_id, Session.ended_at.is_(None)).order_by(Session.id)
    return (await session.scalars(for_update(query))).all()


async def lock_open_sessions_of_unit(session: AsyncSession, unit_id: UUID) -> Sequence[Session]:
    """Return the sessions of a unit's people that have not ended, locked for a change."""
    accounts = select(Account.id).where(Account.unit_id == unit_id)
    query = select(Session).where(Session.account_id.in_(accounts), Session.ended_at.is_(None)).order_by(Session.id)
    return (await session.scalars(for_update(query))).all()


async def lock_attempts(session: AsyncSession, login: bytes, now: datetime) -> SignInAttempts:
    """Return the attempts of a login, locked for a change; a new login starts at 0."""
    row = insert(SignInAttempts).values(login=login, failures=0, failed_at=now)
    await session.execute(row.on_conflict_do_nothing())
    query = for_update(select(SignInAttempts).where(SignInAttempts.login == login))
    attempts: SignInAttempts | None = await session.scalar(query)
    if attempts is None:  # removed between the two statements, by a success
        attempts = SignInAttempts(login=login, failures=0, failed_at=now)
        session.add(attempts)
    return attempts


async def delete_attempts(session: AsyncSession, login: bytes) -> None:
    """Delete the attempts of a login, after a success."""
    await session.execute(delete(SignInAttempts).where(SignInAttempts.login == login))


async def delete_old_attempts(session: AsyncSession, before: datetime) -> None:
    """Delete some rows that no longer count, so that invented logins do not fill the table."""
    old = (
        select(SignInAttempts.login)
        .where(SignInAttempts.failed_at < before)
        .order_by(SignInAttempts.failed_at)
        .limit(DELETE_BATCH_SIZE)
    )
    logins = (await session.scalars(for_update(old, skip_locked=True))).all()
    if logins:
        await session.execute(delete(SignInAttempts).where(SignInAttempts.login.in_(logins)))
