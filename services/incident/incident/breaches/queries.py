"""Reads incidents and their files. `unit` None: all units'."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from incident.breaches.models import AuthorityReport, Fact, Incident, Obligation

__all__ = ["facts_of", "list_incidents", "lock_incident", "obligations_of", "reports_of", "visible_incident"]


async def visible_incident(session: AsyncSession, incident_id: UUID, unit: UUID | None) -> Incident | None:
    """Return an incident if it is the unit's."""
    found = select(Incident).where(Incident.id == incident_id)
    if unit is not None:
        found = found.where(Incident.unit_id == unit)
    incident: Incident | None = await session.scalar(found)
    return incident


async def lock_incident(session: AsyncSession, incident_id: UUID, unit: UUID | None) -> Incident | None:
    """Return and lock an incident if it is the unit's."""
    found = select(Incident).where(Incident.id == incident_id).with_for_update()
    if unit is not None:
        found = found.where(Incident.unit_id == unit)
    incident: Incident | None = await session.scalar(found)
    return incident


async def facts_of(session: AsyncSession, incident_id: UUID) -> list[Fact]:
    """Return all facts of an incident, superseded ones too, as they were recorded."""
    found = await session.scalars(select(Fact).where(Fact.incident_id == incident_id).order_by(Fact.id))
    return list(found.all())


async def obligations_of(session: AsyncSession, incident_id: UUID) -> Sequence[Obligation]:
    """Return what the rules made of an incident."""
    found = await session.scalars(
        select(Obligation).where(Obligation.incident_id == incident_id).order_by(Obligation.due_at)
    )
    return found.all()


async def reports_of(session: AsyncSession, incident_id: UUID) -> Sequence[AuthorityReport]:
    """Return the reports to the authority, the first first."""
    found = await session.scalars(
        select(AuthorityReport)
        .where(AuthorityReport.incident_id == incident_id)
        .order_by(AuthorityReport.reported_at, AuthorityReport.id)
    )
    return found.all()


async def list_incidents(
    session: AsyncSession, unit: UUID | None, after: UUID | None, limit: int
) -> Sequence[tuple[Incident, Obligation, datetime | None]]:
    """Return incidents with their obligation to report, and when it was first met."""
    met = (
        select(func.min(AuthorityReport.reported_at))
        .where(AuthorityReport.incident_id == Incident.id)
        .correlate(Incident)
        .scalar_subquery()
    )
    found = (
        select(Incident, Obligation, met)
        .join(Obligation, Obligation.incident_id == Incident.id)
        .where(Obligation.content == "report-to-authority")
        .order_by(Incident.id)
        .limit(limit)
    )
    if unit is not None:
        found = found.where(Incident.unit_id == unit)
    if after is not None:
        found = found.where(Incident.id > after)
    return [(row[0], row[1], row[2]) for row in await session.execute(found)]
