"""Queries of accounts and invitations."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from identity.accounts.models import Account, AccountState, Invitation
from identity.units.models import Unit


def _account(account_id: UUID, visible: UUID | None) -> Select[Account]:
    query = select(Account).where(Account.id == account_id)
    return query if visible is None else query.where(Account.unit_id == visible)


async def get_account(session: AsyncSession, account_id: UUID, visible: UUID | None) -> Account | None:
    """Return an account of the unit `visible`; None stands for every unit."""
    account: Account | None = await session.scalar(_account(account_id, visible))
    return account


async def lock_account(session: AsyncSession, account_id: UUID, visible: UUID | None) -> Account | None:
    """Return an account of the unit `visible`, locked for a change."""
    account: Account | None = await session.scalar(for_update(_account(account_id, visible)))
    return account


async def get_account_by_login(session: AsyncSession, login: str) -> Account | None:
    """Return the live account of this login."""
    query = select(Account).where(Account.login == login, Account.state != AccountState.REVOKED)
    account: Account | None = await session.scalar(query)
    return account


async def list_accounts(session: AsyncSession, unit_id: UUID | None, page: PageRequest) -> Slice[Account]:
    """Return the accounts of one unit or of all."""
    query = select(Account) if unit_id is None else select(Account).where(Account.unit_id == unit_id)
    return await paginate(session, query, Account.id, page)


async def list_live_account_ids(session: AsyncSession, unit_id: UUID) -> Sequence[UUID]:
    """Return the ids of the unit's accounts that are not revoked."""
    query = select(Account.id).where(Account.unit_id == unit_id, Account.state != AccountState.REVOKED)
    return (await session.scalars(query.order_by(Account.id))).all()


async def person_has_account(session: AsyncSession, person: bytes) -> bool:
    """Whether this person has a live account, in any unit (clause 7.6)."""
    query = select(Account.id).where(Account.person == person, Account.state != AccountState.REVOKED)
    return await session.scalar(query) is not None


async def get_unit_of_account(session: AsyncSession, account_id: UUID) -> Unit | None:
    """Return the unit of an account."""
    query = select(Unit).join(Account, Account.unit_id == Unit.id).where(Account.id == account_id)
    unit: Unit | None = await session.scalar(query)
    return unit


def _open_invitation(account_id: UUID) -> Select[Invitation]:
    return select(Invitation).where(Invitation.account_id == account_id, Invitation.ended_at.is_(None))


async def get_open_invitation(session: AsyncSession, account_id: UUID) -> Invitation | None:
    """Return the invitation that was neither used nor ended, expired or not."""
    invitation: Invitation | None = await session.scalar(_open_invitation(account_id))
    return invitation


async def lock_open_invitation(session: AsyncSession, account_id: UUID) -> Invitation | None:
    """Return the invitation that was neither used nor ended, locked for a change."""
    invitation: Invitation | None = await session.scalar(for_update(_open_invitation(account_id)))
    return invitation


async def get_newest_invitation(session: AsyncSession, account_id: UUID) -> Invitation | None:
    """Return the last invitation, ended or not."""
    query = select(Invitation).where(Invitation.account_id == account_id).order_by(Invitation.id.desc()).limit(1)
    invitation: Invitation | None = await session.scalar(query)
    return invitation
