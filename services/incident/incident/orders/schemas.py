"""Bodies of containment orders."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from incident.probes.schemas import ProbeResponse


class OrderStepResponse(BaseModel):
    """One line of an order's timeline; `effective_at` is the executor's own time."""

    model_config = ConfigDict(from_attributes=True)

    state: str
    at: datetime
    detail: str | None
    effective_at: datetime | None


class OrderResponse(BaseModel):
    """An order with its timeline; `unprobed` says why no probe applies."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    executor: str
    measure: str
    target_kind: str
    target_id: UUID
    state: str
    ordered_at: datetime
    confirmed_at: datetime | None
    probed_at: datetime | None
    lifted_at: datetime | None
    restored_at: datetime | None
    reopened_at: datetime | None
    unprobed: str | None
    grants: list[UUID]
    timeline: list[OrderStepResponse] = []
    probes: list[ProbeResponse] = []
