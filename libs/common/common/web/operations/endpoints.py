"""The routes of operators on every service: status and dead letters."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.permissions import MANAGE_OPERATIONS
from common.enforcement.principals import Principal
from common.messaging import outbox
from common.messaging.dead_letters import drop_dead_letter, list_dead_letters, replay_dead_letter
from common.messaging.events import PREFIX, REGISTRY
from common.problems import Conflict, NotFound
from common.web.authorization import requires
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.operations.schemas import DeadLetter, DropRequest, ServiceStatus
from common.web.operations.status import status_of
from common.web.routing import router
from common.web.runtime import Runtime, RuntimeDep

CanManageOperations = Annotated[Principal, requires(MANAGE_OPERATIONS)]


def status_routes(service: str) -> APIRouter:
    """Return the status route of `service`."""
    routes = router(f"/{service}/operations", "operations")

    @routes.get("/status", operation_id=f"get_{service}_status")
    @operation("查询服务状态", "Read a service's status")
    async def get_status(_: CanManageOperations, runtime: RuntimeDep) -> ServiceStatus:
        """Return the status of the instance that answers."""
        return await status_of(runtime)

    return routes


def dead_letter_routes(service: str) -> APIRouter:
    """Return the dead-letter routes of a `service` with an inbox."""
    routes = router(f"/{service}/operations", "operations")

    @routes.get("/dead-letters", operation_id=f"list_{service}_dead_letters")
    @operation("列出死信", "List dead letters")
    async def list_(
        _: CanManageOperations, session: SessionDep, limit: Annotated[int, Query(ge=1, le=100)] = 50
    ) -> list[DeadLetter]:
        """List dead letters, oldest first."""
        return [DeadLetter.model_validate(row) for row in await list_dead_letters(session, limit)]

    @routes.post("/dead-letters/{message_id}/replay", status_code=202, operation_id=f"replay_{service}_dead_letter")
    @operation("重新处理死信", "Replay a dead letter", NotFound, Conflict)
    async def replay(message_id: UUID, principal: CanManageOperations, write: WriteDep, runtime: RuntimeDep) -> None:
        """Retry a dead letter with all its attempts."""
        type_ = await replay_dead_letter(write.session, message_id, now=runtime.clock.now())
        assert runtime.inbox is not None  # only a service with an inbox has this route
        runtime.inbox.wake()
        _record(write.session, runtime, principal, message_id=message_id, message_type=type_, outcome="replayed")

    @routes.post("/dead-letters/{message_id}/drop", status_code=204, operation_id=f"drop_{service}_dead_letter")
    @operation("放弃死信", "Drop a dead letter", NotFound, Conflict)
    async def drop(
        message_id: UUID, body: DropRequest, principal: CanManageOperations, write: WriteDep, runtime: RuntimeDep
    ) -> None:
        """Drop a dead letter without effect; its row keeps the operator and the reason."""
        type_ = await drop_dead_letter(write.session, message_id, by=principal.subject, reason=body.reason)
        _record(
            write.session,
            runtime,
            principal,
            message_id=message_id,
            message_type=type_,
            outcome="dropped",
            reason=body.reason,
        )

    return routes


def _record(session: AsyncSession, runtime: Runtime, principal: Principal, **settled: Any) -> None:
    """Record the operator's decision as an event of the service (P3)."""
    event = REGISTRY[f"{PREFIX}.{runtime.service}.dead-letter.settled.v1"]
    outbox.add(session, event.model_validate(settled | {"settled_by": principal.subject}), at=runtime.clock.now())
