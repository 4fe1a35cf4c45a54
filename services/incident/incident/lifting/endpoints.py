"""Endpoints of proposals to lift a containment."""

from uuid import UUID

from common.web.dependencies import WriteDep
from common.web.openapi import operation
from common.web.routing import router
from incident.breaches.problems import BreachUnknown, PersonNeeded
from incident.breaches.schemas import Breach, WaitMs
from incident.breaches.views import breach_view, wait_until_settled
from incident.lifting import service
from incident.lifting.problems import (
    LiftAlreadyProposed,
    LiftDecided,
    LiftNeedsAnotherPerson,
    LiftUnknown,
    NothingToLift,
    NotTheProposer,
)
from incident.lifting.schemas import LiftProposalRequest, LiftProposalResponse
from incident.permissions import CanApproveLifts, CanProposeLifts
from incident.runtime import RuntimeDep

routes = router("/incident", "lifting")


@routes.post("/breaches/{incident_id}/lift-proposals", status_code=201)
@operation(
    "提议解除遏制", "Propose to lift a containment", PersonNeeded, BreachUnknown, NothingToLift, LiftAlreadyProposed
)
async def propose_lift(
    incident_id: UUID, body: LiftProposalRequest, principal: CanProposeLifts, write: WriteDep, runtime: RuntimeDep
) -> LiftProposalResponse:
    """Propose to lift the containment of a breach; another person has to approve."""
    proposal = await service.propose(write.session, runtime, principal, incident_id, body.reason)
    return LiftProposalResponse.model_validate(proposal)


@routes.post("/lift-proposals/{proposal_id}/approve")
@operation(
    "批准解除遏制", "Approve a lift", PersonNeeded, LiftUnknown, LiftNeedsAnotherPerson, LiftDecided, NothingToLift
)
async def approve_lift(
    proposal_id: UUID, principal: CanApproveLifts, write: WriteDep, runtime: RuntimeDep, wait_ms: WaitMs = 2000
) -> Breach:
    """Approve another person's proposal: executors restore access, and a probe that passes shows it."""
    incident = await service.approve(write.session, runtime, principal, proposal_id)
    await write.commit(await breach_view(write.session, runtime, incident))
    return await wait_until_settled(runtime, incident.id, wait_ms / 1000)


@routes.post("/lift-proposals/{proposal_id}/withdraw")
@operation("撤回解除提议", "Withdraw a proposal to lift", PersonNeeded, LiftUnknown, NotTheProposer, LiftDecided)
async def withdraw_lift(
    proposal_id: UUID, principal: CanProposeLifts, write: WriteDep, runtime: RuntimeDep
) -> LiftProposalResponse:
    """Withdraw one's own proposal."""
    return LiftProposalResponse.model_validate(await service.withdraw(write.session, runtime, principal, proposal_id))
