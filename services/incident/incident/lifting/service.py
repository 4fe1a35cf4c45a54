"""Proposes, approves and withdraws the lifting of a containment (P6)."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.incident import LiftProposed, LiftWithdrawn
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from incident.breaches import queries as breaches
from incident.breaches.models import Incident
from incident.breaches.problems import BreachUnknown, PersonNeeded
from incident.lifting import queries
from incident.lifting.models import LiftProposal, LiftState
from incident.lifting.problems import (
    LiftAlreadyProposed,
    LiftNeedsAnotherPerson,
    LiftUnknown,
    NothingToLift,
    NotTheProposer,
)
from incident.orders import queries as order_queries
from incident.orders import service as orders
from incident.orders.models import Order, OrderState
from incident.runtime import Runtime


async def propose(
    session: AsyncSession, runtime: Runtime, principal: Principal, incident_id: UUID, reason: str
) -> LiftProposal:
    """Propose to lift every order of an incident.

    Raises `PersonNeeded`, `BreachUnknown`, `NothingToLift`, `LiftAlreadyProposed`.
    """
    if principal.kind != "account":
        raise PersonNeeded
    incident = await breaches.lock_incident(session, incident_id, None)
    if incident is None:
        raise BreachUnknown
    if not await _liftable(session, incident_id):
        raise NothingToLift
    if waiting := await queries.get_open_proposal(session, incident_id):
        raise LiftAlreadyProposed(proposal=str(waiting.id))
    now = runtime.clock.now()
    proposal = LiftProposal(
        id=new_id(), incident_id=incident_id, proposed_by=principal.uuid, reason=reason, proposed_at=now
    )
    session.add(proposal)
    incident.version += 1
    outbox.add(session, LiftProposed(incident_id=incident_id, proposed_by=principal.uuid, reason=reason), at=now)
    return proposal


async def _liftable(session: AsyncSession, incident_id: UUID) -> list[Order]:
    found = await order_queries.lock_orders(session, incident_id)
    return [order for order in found if order.can_move_to(OrderState.LIFTED)]


async def _lock_both(session: AsyncSession, principal: Principal, proposal_id: UUID) -> tuple[Incident, LiftProposal]:
    """Lock the incident of a proposal, then the proposal. Raises `PersonNeeded`, `LiftUnknown`."""
    if principal.kind != "account":
        raise PersonNeeded
    proposal = await queries.get_proposal(session, proposal_id)
    if proposal is None:
        raise LiftUnknown
    incident = await breaches.lock_incident(session, proposal.incident_id, None)
    assert incident is not None  # by the foreign key
    return incident, await queries.lock_proposal(session, proposal_id)


async def approve(session: AsyncSession, runtime: Runtime, principal: Principal, proposal_id: UUID) -> Incident:
    """Lift every order of the incident, as another person than the proposer.

    Raises `PersonNeeded`, `LiftUnknown`, `LiftNeedsAnotherPerson`, `LiftDecided`, `NothingToLift`.
    """
    incident, proposal = await _lock_both(session, principal, proposal_id)
    if proposal.proposed_by == principal.uuid:
        raise LiftNeedsAnotherPerson
    proposal.decide(LiftState.APPROVED, by=principal.uuid, at=runtime.clock.now())
    liftable = await _liftable(session, incident.id)
    if not liftable:
        raise NothingToLift
    incident.version += 1
    await orders.lift(session, runtime, liftable, proposed_by=proposal.proposed_by, approved_by=principal.uuid)
    return incident


async def withdraw(session: AsyncSession, runtime: Runtime, principal: Principal, proposal_id: UUID) -> LiftProposal:
    """Withdraw one's own proposal. Raises `PersonNeeded`, `LiftUnknown`, `NotTheProposer`, `LiftDecided`."""
    incident, proposal = await _lock_both(session, principal, proposal_id)
    if proposal.proposed_by != principal.uuid:
        raise NotTheProposer
    now = runtime.clock.now()
    proposal.decide(LiftState.WITHDRAWN, by=principal.uuid, at=now)
    incident.version += 1
    event = LiftWithdrawn(incident_id=incident.id, proposal_id=proposal.id, withdrawn_by=principal.uuid)
    outbox.add(session, event, at=now)
    return proposal
