"""Reads accounts and invitations."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.accounts.models import Account, AccountState, Invitation
from identity.units.models import Unit

__all__ = [
    "account_by_login",
    "account_of",
    "accounts_page",
    "live_accounts",
    "newest_invitation",
    "open_invitation",
    "person_known",
    "unit_of",
]


async def account_of(
    session: AsyncSession, account_id: UUID, unit_id: UUID | None, *, lock: bool = False
) -> Account | None:
    """Return an account, if it is one of `unit_id` (None: of any unit); locked to change it, as it is then."""
    query = select(Account).where(Account.id == account_id)
    if unit_id is not None:
        query = query.where(Account.unit_id == unit_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    account: Account | None = await session.scalar(query)
    return account


async def account_by_login(session: AsyncSession, login: str) -> Account | None:
    """Return the live account of this login."""
    query = select(Account).where(Account.login == login, Account.state != AccountState.REVOKED)
    account: Account | None = await session.scalar(query)
    return account


async def accounts_page(
    session: AsyncSession, unit_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[Account]:
    """Return accounts by id, of one unit or of all."""
    query = select(Account).order_by(Account.id).limit(limit)
    if unit_id is not None:
        query = query.where(Account.unit_id == unit_id)
    if after is not None:
        query = query.where(Account.id > after)
    return (await session.scalars(query)).all()


async def live_accounts(session: AsyncSession, unit_id: UUID) -> Sequence[UUID]:
    """Return the ids of the unit's accounts that are not revoked."""
    query = select(Account.id).where(Account.unit_id == unit_id, Account.state != AccountState.REVOKED)
    return (await session.scalars(query.order_by(Account.id))).all()


async def person_known(session: AsyncSession, person: bytes) -> bool:
    """Whether this person has a live account, in whatever unit (clause 7.6)."""
    query = select(Account.id).where(Account.person == person, Account.state != AccountState.REVOKED)
    return await session.scalar(query) is not None


async def unit_of(session: AsyncSession, account_id: UUID) -> Unit | None:
    """Return the unit of an account."""
    query = select(Unit).join(Account, Account.unit_id == Unit.id).where(Account.id == account_id)
    unit: Unit | None = await session.scalar(query)
    return unit


async def open_invitation(session: AsyncSession, account_id: UUID, *, lock: bool = False) -> Invitation | None:
    """Return the invitation that was neither used nor ended, expired or not."""
    query = select(Invitation).where(Invitation.account_id == account_id, Invitation.ended_at.is_(None))
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    invitation: Invitation | None = await session.scalar(query)
    return invitation


async def newest_invitation(session: AsyncSession, account_id: UUID) -> Invitation | None:
    """Return the last invitation, ended or not."""
    query = select(Invitation).where(Invitation.account_id == account_id).order_by(Invitation.id.desc()).limit(1)
    invitation: Invitation | None = await session.scalar(query)
    return invitation
