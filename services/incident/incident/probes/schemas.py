"""Bodies of containment probes."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class ProbeResponse(BaseModel):
    """One attempt to show that access is refused, or allowed again."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    expectation: str
    subject: str | None
    grant_id: UUID | None
    status: int
    problem: str | None
    reason: str | None
    passed: bool
    milliseconds: int
    at: datetime
