"""Queries of the projections, and the statements that apply identity's events to them.

Events may repeat; those of different keys come in any order.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, any_, case, cast, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.projections.models import Account, Appointment, System, Unit

UNNAMED_CAUSE = "unnamed"
"""The cause of a suspension that names none."""


async def list_systems(session: AsyncSession, unit_id: UUID, ids: Sequence[UUID]) -> Sequence[System]:
    """Return those of `ids` that are the unit's."""
    return (await session.scalars(select(System).where(System.unit_id == unit_id, System.id.in_(ids)))).all()


async def get_unit_of_system(session: AsyncSession, system_id: UUID) -> UUID | None:
    """Return the unit of a system; None before its registration arrives."""
    return await session.scalar(select(System.unit_id).where(System.id == system_id))


async def get_unit_name(session: AsyncSession, unit_id: UUID) -> str | None:
    """Return the unit's name; None before its registration arrives."""
    return await session.scalar(select(Unit.name).where(Unit.id == unit_id))


async def lock_unit(session: AsyncSession, unit_id: UUID) -> None:
    """Exclude other transactions that widen or contain this unit's grants, by an advisory lock."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(unit_id), 0))))


async def upsert(session: AsyncSession, model: type[Unit | Account | Appointment | System], **members: Any) -> None:
    """Store these members of the row with this `id`."""
    statement = insert(model).values(members)
    changed = {name: statement.excluded[name] for name in members if name != "id"}
    await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=changed))


async def suspend(
    session: AsyncSession, model: type[Unit | Account | System], cause: str | None, **members: Any
) -> None:
    """Add a cause of suspension; a cause that is there already changes nothing."""
    named = literal(cause or UNNAMED_CAUSE, Text)
    causes: ColumnElement[Any] = model.__table__.c.suspended_for
    with_cause = case((named == any_(causes), causes), else_=func.array_append(causes, named))
    statement = insert(model).values(members | {"suspended_for": cast([cause or UNNAMED_CAUSE], ARRAY(Text))})
    await session.execute(
        statement.on_conflict_do_update(index_elements=["id"], set_={"suspended_for": with_cause}),
    )


async def reinstate(session: AsyncSession, model: type[Unit | Account | System], **members: Any) -> None:
    """Remove all causes of suspension: the event says that the last one was lifted."""
    await upsert(session, model, **members, suspended_for=[])
