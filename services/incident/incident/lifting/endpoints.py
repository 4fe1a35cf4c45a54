"""Where two people restore access."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from common.web.dependencies import WriteDep
from common.web.routing import router
from incident.breaches.schemas import BreachFile, ProposalView
from incident.breaches.views import file_of, proposal_view, settled_file
from incident.idempotent_requests import Repeatable, WaitMs
from incident.lifting import service
from incident.lifting.schemas import LiftRequest
from incident.permissions import CanApproveLifts, CanProposeLifts
from incident.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/incident", "lifting")


@routes.post("/breaches/{incident_id}/lift-proposals", status_code=201)
async def propose_lift(
    incident_id: UUID, body: LiftRequest, principal: CanProposeLifts, write: WriteDep, runtime: RuntimeDep
) -> ProposalView:
    """Propose to lift the containment of a breach."""
    return proposal_view(await service.propose(write.session, runtime, principal, incident_id, body.reason))


@routes.post("/lift-proposals/{proposal_id}/approve")
async def approve_lift(
    proposal_id: UUID,
    principal: CanApproveLifts,
    repeatable: Annotated[Repeatable, Depends()],
    runtime: RuntimeDep,
    wait_ms: WaitMs = 2000,
) -> BreachFile:
    """Approve somebody else's proposal: executors restore access, and a probe that passes shows it."""
    async with runtime.database.transaction() as session:
        await repeatable.begin(session, runtime)
        incident = await service.approve(session, runtime, principal, proposal_id)
        await repeatable.keep(session, await file_of(session, runtime, incident), 200)
    return await settled_file(runtime, incident.id, wait_ms / 1000)


@routes.post("/lift-proposals/{proposal_id}/withdraw")
async def withdraw_lift(
    proposal_id: UUID, principal: CanProposeLifts, write: WriteDep, runtime: RuntimeDep
) -> ProposalView:
    """Take one's own proposal back."""
    return proposal_view(await service.withdraw(write.session, runtime, principal, proposal_id))
