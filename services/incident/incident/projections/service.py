"""Applies events of other services to the projections: the newest status wins, in whatever order events arrive."""

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from incident.projections.models import Account, Grant, System, Unit

__all__ = ["apply_account", "apply_grant", "apply_grant_terms", "apply_system", "apply_unit"]


async def apply_unit(session: AsyncSession, unit_id: UUID, status: str, sequence: int) -> None:
    """Set a unit's status."""
    await _upsert(session, Unit, unit_id, status, sequence)


async def apply_account(session: AsyncSession, account_id: UUID, unit: UUID, status: str, sequence: int) -> None:
    """Set an account's unit and status."""
    await _upsert(session, Account, account_id, status, sequence, unit)


async def apply_system(session: AsyncSession, system_id: UUID, unit: UUID, status: str, sequence: int) -> None:
    """Set a connected system's unit and status."""
    await _upsert(session, System, system_id, status, sequence, unit)


async def apply_grant(session: AsyncSession, grant_id: UUID, unit: UUID, status: str, sequence: int) -> None:
    """Set a grant's unit and status."""
    await _upsert(session, Grant, grant_id, status, sequence, unit)


async def apply_grant_terms(
    session: AsyncSession, grant_id: UUID, resource: UUID, systems: list[UUID], purposes: list[str]
) -> None:
    """Set the terms of a known grant; they never change, and only its activation carries them."""
    await session.execute(
        update(Grant)
        .where(Grant.id == grant_id)
        .values(resource=resource, systems=systems, purposes=purposes)
        .execution_options(synchronize_session=False)
    )


async def _upsert(
    session: AsyncSession,
    model: type[Unit | Account | System | Grant],
    id_: UUID,
    status: str,
    sequence: int,
    unit: UUID | None = None,
) -> None:
    row: dict[str, Any] = {"id": id_, "status": status, "heard": sequence} | ({"unit": unit} if unit else {})
    statement = insert(model).values(row)
    newer = {name: statement.excluded[name] for name in row if name != "id"}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=newer, where=statement.excluded["heard"] > model.__table__.c.heard
        )
    )
