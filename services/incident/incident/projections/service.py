"""Takes foreign events into the projections: the newest status wins, whatever order they come in."""

from typing import Any
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from incident.projections.models import AccountView, GrantView, SystemView, UnitView

__all__ = ["hear_account", "hear_grant", "hear_grant_terms", "hear_system", "hear_unit"]

View = type[UnitView] | type[AccountView] | type[SystemView] | type[GrantView]


async def hear_unit(session: AsyncSession, unit_id: UUID, status: str, heard: int) -> None:
    """Note what a unit is now."""
    await _hear(session, UnitView, {"id": unit_id, "status": status, "heard": heard})


async def hear_account(session: AsyncSession, account_id: UUID, unit: UUID, status: str, heard: int) -> None:
    """Note what an account is now, and whose."""
    await _hear(session, AccountView, {"id": account_id, "unit": unit, "status": status, "heard": heard})


async def hear_system(session: AsyncSession, system_id: UUID, unit: UUID, status: str, heard: int) -> None:
    """Note what a connected system is now, and whose."""
    await _hear(session, SystemView, {"id": system_id, "unit": unit, "status": status, "heard": heard})


async def hear_grant(session: AsyncSession, grant_id: UUID, unit: UUID, status: str, heard: int) -> None:
    """Note what a grant is now, and whose."""
    await _hear(session, GrantView, {"id": grant_id, "unit": unit, "status": status, "heard": heard})


async def hear_grant_terms(
    session: AsyncSession, grant_id: UUID, resource: UUID, systems: list[UUID], purposes: list[str]
) -> None:
    """Note what never changes of a grant that `hear_grant` has noted: these terms come with its activation only."""
    await session.execute(
        update(GrantView)
        .where(GrantView.id == grant_id)
        .values(resource=resource, systems=systems, purposes=purposes)
        .execution_options(synchronize_session=False)
    )


async def _hear(session: AsyncSession, view: View, row: dict[str, Any]) -> None:
    statement = insert(view).values(row)
    newer = {name: statement.excluded[name] for name in row if name != "id"}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=newer, where=statement.excluded["heard"] > view.__table__.c.heard
        )
    )
