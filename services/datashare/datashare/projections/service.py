"""Takes identity's events into the projections; each may come twice, and before or after those of other keys."""

from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, any_, case, cast, func, literal
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.projections.models import Account, Appointment, System, Unit

__all__ = ["note_account", "note_appointment", "note_system", "note_unit", "reinstate", "suspend"]

Projection = type[Unit] | type[Account] | type[System] | type[Appointment]

UNNAMED = "unnamed"
"""The cause of a suspension that names none."""


async def note_unit(session: AsyncSession, unit_id: UUID, **known: Any) -> None:
    """Take in what is known of a unit."""
    await _note(session, Unit, {"id": unit_id, **known})


async def note_account(session: AsyncSession, account_id: UUID, unit_id: UUID, **known: Any) -> None:
    """Take in what is known of an account."""
    await _note(session, Account, {"id": account_id, "unit_id": unit_id, **known})


async def note_appointment(session: AsyncSession, appointment_id: UUID, **known: Any) -> None:
    """Take in what is known of an appointment."""
    await _note(session, Appointment, {"id": appointment_id, **known})


async def note_system(session: AsyncSession, system_id: UUID, unit_id: UUID, **known: Any) -> None:
    """Take in what is known of a system."""
    await _note(session, System, {"id": system_id, "unit_id": unit_id, **known})


async def suspend(session: AsyncSession, model: Projection, cause: str | None, known: dict[str, Any]) -> None:
    """Note a suspension under its cause; the same one again changes nothing."""
    named = literal(cause or UNNAMED, Text)
    table = model.__table__.c
    causes: ColumnElement[Any] = table.suspended_for
    once = case((named == any_(causes), causes), else_=func.array_append(causes, named))
    row = {**known, "suspended_for": cast([cause or UNNAMED], ARRAY(Text))}
    statement = insert(model).values(row)
    await session.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"suspended_for": once}),
    )


async def reinstate(session: AsyncSession, model: Projection, known: dict[str, Any]) -> None:
    """Note that the last suspension was lifted, as the event says."""
    await _note(session, model, {**known, "suspended_for": []})


async def _note(session: AsyncSession, model: Projection, row: dict[str, Any]) -> None:
    statement = insert(model).values(row)
    changed = {name: statement.excluded[name] for name in row if name != "id"}
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))
