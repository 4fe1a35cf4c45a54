"""The routes of operators on every service: how it is doing, and its dead letters."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.permissions import MANAGE_OPERATIONS
from common.enforcement.principals import Principal
from common.messaging import outbox
from common.messaging.events import PREFIX, REGISTRY
from common.messaging.inbox import Inbox
from common.web.authorization import requires
from common.web.dependencies import SessionDep, WriteDep
from common.web.operations.schemas import DeadLetter, DropRequest, ServiceStatus
from common.web.operations.status import status_of
from common.web.routing import router
from common.web.runtime import Runtime, RuntimeDep

__all__ = ["dead_letter_routes", "status_routes"]

CanManageOperations = Annotated[Principal, requires(MANAGE_OPERATIONS)]


def status_routes(service: str) -> APIRouter:
    """Return the route that tells how `service` is doing."""
    routes = router(f"/{service}/operations", "operations")

    @routes.get("/status", operation_id=f"get_{service}_status")
    async def get_status(_: CanManageOperations, runtime: RuntimeDep) -> ServiceStatus:
        """Tell how the instance that answers is doing."""
        return await status_of(runtime)

    return routes


def dead_letter_routes(service: str) -> APIRouter:
    """Return the operator's routes of a `service` that has an inbox."""
    routes = router(f"/{service}/operations", "operations")

    @routes.get("/dead-letters", operation_id=f"list_{service}_dead_letters")
    async def list_dead_letters(
        _: CanManageOperations,
        session: SessionDep,
        runtime: RuntimeDep,
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
    ) -> list[DeadLetter]:
        """Oldest first."""
        return [DeadLetter.model_validate(row) for row in await _inbox(runtime).dead(session, limit)]

    @routes.post("/dead-letters/{message_id}/replay", status_code=202, operation_id=f"replay_{service}_dead_letter")
    async def replay_dead_letter(
        message_id: UUID, principal: CanManageOperations, write: WriteDep, runtime: RuntimeDep
    ) -> None:
        """Give it all its attempts again."""
        type_ = await _inbox(runtime).replay(write.session, message_id)
        _tell(
            write.session,
            runtime,
            message_id=message_id,
            message_type=type_,
            outcome="replayed",
            settled_by=principal.subject,
        )

    @routes.post("/dead-letters/{message_id}/drop", status_code=204, operation_id=f"drop_{service}_dead_letter")
    async def drop_dead_letter(
        message_id: UUID, body: DropRequest, principal: CanManageOperations, write: WriteDep, runtime: RuntimeDep
    ) -> None:
        """End it without effect; the row keeps who and why."""
        by = principal.subject
        type_ = await _inbox(runtime).drop(write.session, message_id, by=by, reason=body.reason)
        told = {
            "message_id": message_id,
            "message_type": type_,
            "outcome": "dropped",
            "settled_by": by,
            "reason": body.reason,
        }
        _tell(write.session, runtime, **told)

    return routes


def _tell(session: AsyncSession, runtime: Runtime, **settled: Any) -> None:
    """Put the operator's decision on record, as the service's own event (P3)."""
    event = REGISTRY[f"{PREFIX}.{runtime.service}.dead-letter.settled.v1"]
    outbox.add(session, event.model_validate(settled), at=runtime.clock.now())


def _inbox(runtime: Runtime) -> Inbox[Any]:
    assert runtime.inbox is not None  # only a service with an inbox has these routes
    return runtime.inbox
