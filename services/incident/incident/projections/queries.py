"""Reads and updates the projections; the newest status wins, in whatever order events arrive."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from incident.projections.models import Account, Grant, System, Unit


async def upsert(
    session: AsyncSession,
    model: type[Unit | Account | System | Grant],
    id_: UUID,
    status: str,
    sequence: int,
    *,
    unit: UUID | None = None,
) -> None:
    """Set status and unit of a row, unless an event with a higher number has set them."""
    row: dict[str, Any] = {"id": id_, "status": status, "heard": sequence} | ({"unit": unit} if unit else {})
    statement = insert(model).values(row)
    newer = {name: statement.excluded[name] for name in row if name != "id"}
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["id"], set_=newer, where=statement.excluded["heard"] > model.__table__.c.heard
        )
    )


async def set_grant_terms(
    session: AsyncSession, grant_id: UUID, resource: UUID, systems: list[UUID], purposes: list[str]
) -> None:
    """Set the terms of a known grant; they never change, and only its activation carries them."""
    await session.execute(
        update(Grant)
        .where(Grant.id == grant_id)
        .values(resource=resource, systems=systems, purposes=purposes)
        .execution_options(synchronize_session=False)
    )


async def get_owners(session: AsyncSession, kind: str, ids: Collection[UUID]) -> dict[UUID, UUID]:
    """Return the unit of each known id of `ids`; a unit owns itself."""
    if not ids:
        return {}
    id_and_unit = {
        "unit": select(Unit.id, Unit.id.label("unit")).where(Unit.id.in_(ids)),
        "account": select(Account.id, Account.unit).where(Account.id.in_(ids)),
        "system": select(System.id, System.unit).where(System.id.in_(ids)),
        "grant": select(Grant.id, Grant.unit).where(Grant.id.in_(ids)),
    }
    return {row.id: row.unit for row in await session.execute(id_and_unit[kind])}


async def list_systems_of_unit(session: AsyncSession, unit: UUID) -> Sequence[UUID]:
    """Return the systems of a unit that are not decommissioned, unapproved ones too: they may soon hold credentials."""
    found = await session.scalars(
        select(System.id).where(System.unit == unit, System.status != "decommissioned").order_by(System.id)
    )
    return found.all()


async def list_current_systems(session: AsyncSession, ids: Collection[UUID]) -> Sequence[UUID]:
    """Return the systems of `ids` that are not decommissioned."""
    found = await session.scalars(
        select(System.id).where(System.id.in_(ids), System.status != "decommissioned").order_by(System.id)
    )
    return found.all()


async def get_active_account(session: AsyncSession, unit: UUID) -> UUID | None:
    """Return any active account of the unit."""
    found: UUID | None = await session.scalar(
        select(Account.id).where(Account.unit == unit, Account.status == "active").order_by(Account.id).limit(1)
    )
    return found


async def list_grants_of_system(session: AsyncSession, system: UUID) -> Sequence[Grant]:
    """Return the grants that a system may use, the active ones first."""
    found = await session.scalars(
        select(Grant)
        .where(Grant.systems.contains([system]), Grant.status != "revoked")
        .order_by(Grant.status != "active", Grant.id)
    )
    return found.all()


async def list_grants_of_unit(session: AsyncSession, unit: UUID) -> Sequence[Grant]:
    """Return the grants of a unit, the active ones first."""
    found = await session.scalars(
        select(Grant).where(Grant.unit == unit, Grant.status != "revoked").order_by(Grant.status != "active", Grant.id)
    )
    return found.all()


async def get_grants(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, Grant]:
    """Return the known grants of `ids`, by id."""
    found = await session.scalars(select(Grant).where(Grant.id.in_(ids)).order_by(Grant.id))
    return {grant.id: grant for grant in found}
