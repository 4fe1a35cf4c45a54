"""Bodies of proposals to lift."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class LiftProposalRequest(BaseModel):
    """Why the containment can end."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=4, max_length=1000)]


class LiftProposalResponse(BaseModel):
    """A proposal to lift."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    incident_id: UUID
    state: str
    proposed_by: UUID
    reason: str
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None
