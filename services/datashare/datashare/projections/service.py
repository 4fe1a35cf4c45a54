"""Applies identity's events to the projections. Events may repeat; those of different keys come in any order."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, any_, case, cast, func, literal
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.projections.models import Account, Appointment, System, Unit

__all__ = ["reinstate", "suspend", "upsert_account", "upsert_appointment", "upsert_system", "upsert_unit"]

Projection = type[Unit] | type[Account] | type[System] | type[Appointment]

UNNAMED_CAUSE = "unnamed"
"""The cause of a suspension that names none."""


async def upsert_unit(session: AsyncSession, unit_id: UUID, **members: Any) -> None:
    """Store these members of a unit."""
    await _upsert(session, Unit, {"id": unit_id, **members})


async def upsert_account(session: AsyncSession, account_id: UUID, unit_id: UUID, **members: Any) -> None:
    """Store these members of an account."""
    await _upsert(session, Account, {"id": account_id, "unit_id": unit_id, **members})


async def upsert_appointment(session: AsyncSession, appointment_id: UUID, **members: Any) -> None:
    """Store these members of an appointment."""
    await _upsert(session, Appointment, {"id": appointment_id, **members})


async def upsert_system(session: AsyncSession, system_id: UUID, unit_id: UUID, **members: Any) -> None:
    """Store these members of a system."""
    await _upsert(session, System, {"id": system_id, "unit_id": unit_id, **members})


async def suspend(session: AsyncSession, model: Projection, cause: str | None, members: dict[str, Any]) -> None:
    """Add a cause of suspension; a cause that is there already changes nothing."""
    named = literal(cause or UNNAMED_CAUSE, Text)
    table = model.__table__.c
    causes: ColumnElement[Any] = table.suspended_for
    with_cause = case((named == any_(causes), causes), else_=func.array_append(causes, named))
    row = {**members, "suspended_for": cast([cause or UNNAMED_CAUSE], ARRAY(Text))}
    statement = insert(model).values(row)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"suspended_for": with_cause}),
    )


async def reinstate(session: AsyncSession, model: Projection, members: dict[str, Any]) -> None:
    """Remove all causes of suspension: the event says that the last one was lifted."""
    await _upsert(session, model, {**members, "suspended_for": []})


async def _upsert(session: AsyncSession, model: Projection, row: dict[str, Any]) -> None:
    statement = insert(model).values(row)
    changed = {name: statement.excluded[name] for name in row if name != "id"}
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))
