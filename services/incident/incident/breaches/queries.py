"""Reads incidents and their files; `unit` None stands for all units."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from incident.breaches.models import AuthorityReport, Fact, Incident, Obligation


def _incident_of(incident_id: UUID, unit: UUID | None) -> Select[Incident]:
    query = select(Incident).where(Incident.id == incident_id)
    return query if unit is None else query.where(Incident.unit_id == unit)


async def get_incident(session: AsyncSession, incident_id: UUID, unit: UUID | None) -> Incident | None:
    """Return an incident of `unit`."""
    found: Incident | None = await session.scalar(_incident_of(incident_id, unit))
    return found


async def lock_incident(session: AsyncSession, incident_id: UUID, unit: UUID | None) -> Incident | None:
    """Return and lock an incident of `unit`."""
    found: Incident | None = await session.scalar(for_update(_incident_of(incident_id, unit)))
    return found


async def list_facts(session: AsyncSession, incident_id: UUID) -> Sequence[Fact]:
    """Return all facts of an incident, superseded ones too, in the order of their recording."""
    return (await session.scalars(select(Fact).where(Fact.incident_id == incident_id).order_by(Fact.id))).all()


async def list_obligations(session: AsyncSession, incident_id: UUID) -> Sequence[Obligation]:
    """Return the obligations of an incident, the earliest due first."""
    found = await session.scalars(
        select(Obligation).where(Obligation.incident_id == incident_id).order_by(Obligation.due_at)
    )
    return found.all()


async def list_reports(session: AsyncSession, incident_id: UUID) -> Sequence[AuthorityReport]:
    """Return the reports to the authority, the earliest first."""
    found = await session.scalars(
        select(AuthorityReport)
        .where(AuthorityReport.incident_id == incident_id)
        .order_by(AuthorityReport.reported_at, AuthorityReport.id)
    )
    return found.all()


async def list_incidents(
    session: AsyncSession, unit: UUID | None, page: PageRequest
) -> Slice[tuple[Incident, Obligation, datetime | None]]:
    """Return incidents with their obligation to report to the authority, and when it was first met."""
    met_at = (
        select(func.min(AuthorityReport.reported_at))
        .where(AuthorityReport.incident_id == Incident.id)
        .correlate(Incident)
        .scalar_subquery()
    )
    query = (
        select(Incident, Obligation, met_at)
        .join(Obligation, Obligation.incident_id == Incident.id)
        .where(Obligation.content == "report-to-authority")
    )
    if unit is not None:
        query = query.where(Incident.unit_id == unit)
    return await paginate(session, query, Incident.id, page)
