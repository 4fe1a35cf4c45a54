"""Reads proposals to lift."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from incident.lifting.models import LiftProposal, LiftState

__all__ = ["lock_proposal", "open_proposal", "proposal", "proposals_of"]


async def proposal(session: AsyncSession, proposal_id: UUID) -> LiftProposal | None:
    """Return a proposal, unlocked: its incident is to be locked first."""
    return await session.get(LiftProposal, proposal_id)


async def lock_proposal(session: AsyncSession, proposal_id: UUID) -> LiftProposal:
    """Return and lock a proposal that is there, as it is now."""
    return await session.get_one(LiftProposal, proposal_id, with_for_update=True, populate_existing=True)


async def open_proposal(session: AsyncSession, incident_id: UUID) -> LiftProposal | None:
    """Return the proposal of an incident that waits."""
    found: LiftProposal | None = await session.scalar(
        select(LiftProposal).where(LiftProposal.incident_id == incident_id, LiftProposal.state == LiftState.OPEN)
    )
    return found


async def proposals_of(session: AsyncSession, incident_id: UUID) -> Sequence[LiftProposal]:
    """Return all proposals of an incident."""
    found = await session.scalars(
        select(LiftProposal).where(LiftProposal.incident_id == incident_id).order_by(LiftProposal.id)
    )
    return found.all()
