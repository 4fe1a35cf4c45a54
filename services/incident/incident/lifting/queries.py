"""Reads proposals to lift."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from incident.lifting.models import LiftProposal, LiftState


async def get_proposal(session: AsyncSession, proposal_id: UUID) -> LiftProposal | None:
    """Return a proposal, unlocked: lock its incident first."""
    return await session.get(LiftProposal, proposal_id)


async def lock_proposal(session: AsyncSession, proposal_id: UUID) -> LiftProposal:
    """Return and lock an existing proposal, as it is now."""
    found = await session.scalars(for_update(select(LiftProposal).where(LiftProposal.id == proposal_id)))
    return found.one()


async def get_open_proposal(session: AsyncSession, incident_id: UUID) -> LiftProposal | None:
    """Return the undecided proposal of an incident."""
    found: LiftProposal | None = await session.scalar(
        select(LiftProposal).where(LiftProposal.incident_id == incident_id, LiftProposal.state == LiftState.OPEN)
    )
    return found


async def list_proposals(session: AsyncSession, incident_id: UUID) -> Sequence[LiftProposal]:
    """Return all proposals of an incident."""
    found = await session.scalars(
        select(LiftProposal).where(LiftProposal.incident_id == incident_id).order_by(LiftProposal.id)
    )
    return found.all()
