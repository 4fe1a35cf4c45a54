"""Queries of what a person is responsible for and obtained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import any_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.agreements.models import Agreement, Signature
from datashare.applications.models import Application
from datashare.data_queries.models import QueryFact
from datashare.grants.models import Grant
from datashare.projections.models import System
from datashare.resources.models import Resource


@dataclass(frozen=True, slots=True)
class DataAccessSummary:
    """Queries under one grant on one day; `day` None: on all days before those that are listed one by one."""

    grant_id: UUID
    resource: str
    day: date | None
    queries: int
    rows: int
    since: datetime


async def list_submitted_applications(session: AsyncSession, account_id: UUID, limit: int) -> Sequence[Any]:
    """Return id, resource, state and time of the person's newest applications."""
    statement = (
        select(Application.id, Resource.title, Application.state, Application.submitted_at)
        .join(Resource, Resource.id == Application.resource_id)
        .where(Application.applicant == account_id)
        .order_by(Application.id.desc())
        .limit(limit)
    )
    return (await session.execute(statement)).all()


async def list_signed_agreements(session: AsyncSession, account_id: UUID, limit: int) -> Sequence[Any]:
    """Return id, resource, side and time of the newest agreements that the person signed."""
    statement = (
        select(Agreement.id, Resource.title, Signature.side, Signature.signed_at)
        .join(Agreement, Agreement.id == Signature.agreement_id)
        .join(Resource, Resource.id == Agreement.resource_id)
        .where(Signature.signed_by == account_id)
        .order_by(Agreement.id.desc())
        .limit(limit)
    )
    return (await session.execute(statement)).all()


async def list_held_grants(session: AsyncSession, account_id: UUID, now: datetime, limit: int) -> Sequence[Any]:
    """Return id, resource and begin of live grants: the person applied for them, or is responsible for their systems."""
    responsible = select(System.id).where(System.responsible == account_id, System.id == any_(Grant.systems)).exists()
    statement = (
        select(Grant.id, Resource.title, Grant.valid_from)
        .join(Resource, Resource.id == Grant.resource_id)
        .join(Agreement, Agreement.id == Grant.agreement_id)
        .join(Application, Application.id == Agreement.application_id)
        .where(
            Grant.revoked_at.is_(None),
            Grant.valid_until > now,
            or_(Application.applicant == account_id, responsible),
        )
        .order_by(Grant.id.desc())
        .limit(limit)
    )
    return (await session.execute(statement)).all()


async def list_data_access(session: AsyncSession, account_id: UUID, limit: int) -> list[DataAccessSummary]:
    """Return the person's queries by grant and day, newest first; beyond `limit` of them, the older ones by grant."""
    by_day = (
        select(
            QueryFact.grant_id,
            Resource.title,
            QueryFact.day,
            func.count().label("queries"),
            func.sum(QueryFact.rows).label("rows"),
            func.min(QueryFact.at).label("since"),
        )
        .join(Grant, Grant.id == QueryFact.grant_id)
        .join(Resource, Resource.id == Grant.resource_id)
        .where(QueryFact.principal == f"account:{account_id}")
        .group_by(QueryFact.grant_id, Resource.title, QueryFact.day)
    ).subquery()
    ranked = select(
        by_day, func.row_number().over(order_by=(by_day.c.day.desc(), by_day.c.grant_id)).label("nth")
    ).subquery()
    newest = select(ranked).where(ranked.c.nth <= limit).order_by(ranked.c.nth)
    older = (
        select(
            ranked.c.grant_id,
            ranked.c.title,
            func.sum(ranked.c.queries),
            func.sum(ranked.c.rows),
            func.min(ranked.c.since),
        )
        .where(ranked.c.nth > limit)
        .group_by(ranked.c.grant_id, ranked.c.title)
        .order_by(ranked.c.grant_id)
    )
    days = [
        DataAccessSummary(row.grant_id, row.title, row.day, int(row.queries), int(row.rows), row.since)
        for row in await session.execute(newest)
    ]
    rest = [
        DataAccessSummary(row[0], row[1], None, int(row[2]), int(row[3]), row[4])
        for row in await session.execute(older)
    ]
    return days + rest
