"""Looks things up for a breach's scope and for probes."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from incident.projections.models import AccountView, GrantView, SystemView, UnitView

__all__ = [
    "active_account",
    "grants_by_id",
    "grants_of_system",
    "grants_of_unit",
    "living_systems",
    "owners",
    "systems_of_unit",
]


async def owners(session: AsyncSession, kind: str, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the unit of each of `ids` that is known; a unit is its own."""
    if not ids:
        return {}
    id_and_unit = {
        "unit": select(UnitView.id, UnitView.id.label("unit")).where(UnitView.id.in_(ids)),
        "account": select(AccountView.id, AccountView.unit).where(AccountView.id.in_(ids)),
        "system": select(SystemView.id, SystemView.unit).where(SystemView.id.in_(ids)),
        "grant": select(GrantView.id, GrantView.unit).where(GrantView.id.in_(ids)),
    }
    return {row.id: row.unit for row in await session.execute(id_and_unit[kind])}


async def systems_of_unit(session: AsyncSession, unit: UUID) -> Sequence[UUID]:
    """Return every known system of a unit that has not ended: what waits for approval may soon hold credentials."""
    found = await session.scalars(
        select(SystemView.id)
        .where(SystemView.unit == unit, SystemView.status != "decommissioned")
        .order_by(SystemView.id)
    )
    return found.all()


async def living_systems(session: AsyncSession, ids: Collection[UUID]) -> Sequence[UUID]:
    """Return those of `ids` that have not ended."""
    found = await session.scalars(
        select(SystemView.id)
        .where(SystemView.id.in_(ids), SystemView.status != "decommissioned")
        .order_by(SystemView.id)
    )
    return found.all()


async def active_account(session: AsyncSession, unit: UUID) -> UUID | None:
    """Return somebody of the unit."""
    found: UUID | None = await session.scalar(
        select(AccountView.id)
        .where(AccountView.unit == unit, AccountView.status == "active")
        .order_by(AccountView.id)
        .limit(1)
    )
    return found


async def grants_of_system(session: AsyncSession, system: UUID) -> Sequence[GrantView]:
    """Return the grants that a system may use, the active ones first."""
    found = await session.scalars(
        select(GrantView)
        .where(GrantView.systems.contains([system]), GrantView.status != "revoked")
        .order_by(GrantView.status != "active", GrantView.id)
    )
    return found.all()


async def grants_of_unit(session: AsyncSession, unit: UUID) -> Sequence[GrantView]:
    """Return the grants of a unit, the active ones first."""
    found = await session.scalars(
        select(GrantView)
        .where(GrantView.unit == unit, GrantView.status != "revoked")
        .order_by(GrantView.status != "active", GrantView.id)
    )
    return found.all()


async def grants_by_id(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, GrantView]:
    """Return those of `ids` that are known."""
    found = await session.scalars(select(GrantView).where(GrantView.id.in_(ids)).order_by(GrantView.id))
    return {grant.id: grant for grant in found}
