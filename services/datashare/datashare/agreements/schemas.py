"""Bodies of the agreement endpoints."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, StringConstraints

__all__ = ["AgreementView", "SignatureGiven", "SignatureView"]


class SignatureGiven(BaseModel):
    """The signature: `digest` is that of the agreement that was read."""

    model_config = ConfigDict(extra="forbid")
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class SignatureView(BaseModel):
    """One side's signature."""

    side: str
    signed_by: UUID
    signed_at: datetime


class AgreementView(BaseModel):
    """An agreement. `digest`: SHA-256 of the UTF-8 `text`, a line end, and `terms` as JSON with sorted keys, no blanks."""

    id: UUID
    application_id: UUID
    unit_id: UUID
    state: str
    text: str
    terms: dict[str, Any]
    digest: str
    drawn_up_at: datetime
    in_force_at: datetime | None
    signatures: list[SignatureView]
    grant_id: UUID | None
