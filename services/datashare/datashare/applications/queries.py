"""Queries of applications."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from datashare.agreements.models import Agreement
from datashare.applications.models import UNDECIDED_STATES, Advice, Application, Decision
from datashare.resources.models import Resource


class ApplicationDetails(NamedTuple):
    """An application, the code of its resource, and the facts about it."""

    application: Application
    resource: str
    advice: Advice | None
    decision: Decision | None
    agreement_id: UUID | None


async def lock_application(session: AsyncSession, application_id: UUID, unit: UUID | None) -> Application | None:
    """Return and lock an application; `unit` None: of any unit."""
    query = for_update(select(Application).where(Application.id == application_id))
    return await session.scalar(query.where(Application.unit_id == unit) if unit else query)


def _applications(unit: UUID | None) -> Select[Application, str, Advice, Decision, UUID]:
    query = (
        select(Application, Resource.code, Advice, Decision, Agreement.id)
        .join(Resource, Resource.id == Application.resource_id)
        .outerjoin(Advice, Advice.application_id == Application.id)
        .outerjoin(Decision, Decision.application_id == Application.id)
        .outerjoin(Agreement, Agreement.application_id == Application.id)
    )
    return query.where(Application.unit_id == unit) if unit else query


async def get_application(session: AsyncSession, application_id: UUID, unit: UUID | None) -> ApplicationDetails | None:
    """Return an application; `unit` None: of any unit."""
    row = (await session.execute(_applications(unit).where(Application.id == application_id))).first()
    return ApplicationDetails(*row) if row else None


async def list_applications(session: AsyncSession, unit: UUID | None, page: PageRequest) -> Slice[ApplicationDetails]:
    """Return the applications of a unit; `unit` None: of all."""
    found = await paginate(session, _applications(unit), Application.id, page)
    return Slice([ApplicationDetails(*row) for row in found.rows], found.next_cursor)


async def lock_undecided_applications(session: AsyncSession, account_id: UUID) -> Sequence[Application]:
    """Return and lock the person's applications that are neither decided nor withdrawn."""
    undecided = select(Application).where(Application.applicant == account_id, Application.state.in_(UNDECIDED_STATES))
    return (await session.scalars(for_update(undecided.order_by(Application.id)))).all()


async def get_advice(session: AsyncSession, application_id: UUID) -> Advice | None:
    """Return the center's opinion on an application."""
    return await session.get(Advice, application_id)
