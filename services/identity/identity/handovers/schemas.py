"""Bodies of the handover endpoints."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class HandoverItemResponse(BaseModel):
    """One item."""

    id: UUID
    source: str
    kind: str
    reference: str
    details: dict[str, Any]
    outcome: str | None
    settled_by: UUID | None
    settled_at: datetime | None


class HandoverResponse(BaseModel):
    """A handover with its items."""

    id: UUID
    departure_id: UUID
    account_id: UUID
    unit_id: UUID
    state: str
    opened_at: datetime
    listed_at: datetime | None
    due_at: datetime
    overdue: bool
    completed_at: datetime | None
    countersigned_by: UUID | None
    items: list[HandoverItemResponse]


class SettlementRequest(BaseModel):
    """The outcome of items, by default of all open ones. `destroyed` needs a note that says how."""

    model_config = ConfigDict(extra="forbid")
    outcome: Literal["taken-over", "destroyed"]
    items: Annotated[list[UUID], Field(min_length=1, max_length=500)] | None = None
    note: Annotated[str, Field(min_length=4, max_length=500)] | None = None
