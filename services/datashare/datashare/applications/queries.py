"""What is asked about applications."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.agreements.models import Agreement
from datashare.applications.models import OPEN, Advice, Application, Decision
from datashare.resources.models import Resource

__all__ = ["File", "application_of", "file_of", "files_of", "open_applications_of_person"]


@dataclass(frozen=True, slots=True)
class File:
    """An application with what was said about it."""

    application: Application
    resource: str
    advice: Advice | None
    decision: Decision | None
    agreement_id: UUID | None


async def application_of(session: AsyncSession, application_id: UUID, unit: UUID | None) -> Application | None:
    """Return and lock an application; `unit` None: of any unit."""
    statement = select(Application).where(Application.id == application_id).with_for_update()
    if unit:
        statement = statement.where(Application.unit_id == unit)
    return await session.scalar(statement.execution_options(populate_existing=True))


def _files(unit: UUID | None) -> Any:
    statement = (
        select(Application, Resource.code, Advice, Decision, Agreement.id)
        .join(Resource, Resource.id == Application.resource_id)
        .outerjoin(Advice, Advice.application_id == Application.id)
        .outerjoin(Decision, Decision.application_id == Application.id)
        .outerjoin(Agreement, Agreement.application_id == Application.id)
    )
    return statement.where(Application.unit_id == unit) if unit else statement


async def file_of(session: AsyncSession, application_id: UUID, unit: UUID | None) -> File | None:
    """Return an application's file; `unit` None: of any unit."""
    row = (await session.execute(_files(unit).where(Application.id == application_id))).first()
    return File(*row) if row else None


async def files_of(session: AsyncSession, unit: UUID | None, after: UUID | None, limit: int) -> Sequence[File]:
    """Return the files of a unit; `unit` None: of all."""
    statement = _files(unit).order_by(Application.id).limit(limit)
    if after:
        statement = statement.where(Application.id > after)
    return [File(*row) for row in await session.execute(statement)]


async def open_applications_of_person(session: AsyncSession, account_id: UUID) -> Sequence[Application]:
    """Return and lock the person's applications on which somebody still has to act."""
    statement = (
        select(Application)
        .where(Application.applicant == account_id, Application.state.in_(OPEN))
        .order_by(Application.id)
        .with_for_update()
    )
    return list(await session.scalars(statement))
