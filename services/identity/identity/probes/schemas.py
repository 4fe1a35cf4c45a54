"""Bodies of the probe endpoint."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class ProbeSubject(BaseModel):
    """The subject of a probe credential."""

    model_config = ConfigDict(extra="forbid")
    kind: Literal["system", "account"]
    id: UUID


class ProbeRequest(BaseModel):
    """`before`: a credential from before the order's cutoff. `after`: one of the current epoch, without permissions."""

    model_config = ConfigDict(extra="forbid")
    order_id: UUID
    kind: Literal["before", "after"]
    subject: ProbeSubject | None = None


class ProbeResponse(BaseModel):
    """A short-lived access token marked as a probe."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - a scheme
    expires_at: datetime
    subject: ProbeSubject
