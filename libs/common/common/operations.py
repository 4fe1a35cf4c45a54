"""What operators do on every service: see, replay or drop dead letters."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from common.auth import Principal, requires
from common.http import SessionDep, router
from common.inbox import Inbox
from common.runtime import RuntimeDep

__all__ = ["operations_router"]

CanManageOperations = Annotated[Principal, requires("operations.manage")]


class DeadLetter(BaseModel):
    """A foreign event that this service could not apply."""

    message_id: UUID
    topic: str
    key: str
    type: str
    attempts: int
    error: str | None
    received_at: datetime


class DropRequest(BaseModel):
    """Why a dead letter may stay without effect."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=4, max_length=500)]


def operations_router(service: str) -> APIRouter:
    """Return the operator's routes of `service`."""
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
        message_id: UUID, _: CanManageOperations, session: SessionDep, runtime: RuntimeDep
    ) -> None:
        """Give it all its attempts again."""
        await _inbox(runtime).replay(session, message_id)

    @routes.post("/dead-letters/{message_id}/drop", status_code=204, operation_id=f"drop_{service}_dead_letter")
    async def drop_dead_letter(
        message_id: UUID, body: DropRequest, principal: CanManageOperations, session: SessionDep, runtime: RuntimeDep
    ) -> None:
        """End it without effect; the row keeps who and why."""
        await _inbox(runtime).drop(session, message_id, by=principal.subject, reason=body.reason)

    return routes


def _inbox(runtime: Any) -> Inbox:
    inbox: Inbox = runtime.parts["inbox"]
    return inbox
