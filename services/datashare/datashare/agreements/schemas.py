"""Bodies of the endpoints of agreements."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from datashare.schemas import Digest


class SignatureRequest(BaseModel):
    """A signature; `digest` is that of the agreement that the signer read."""

    model_config = ConfigDict(extra="forbid")
    digest: Digest


class SignatureResponse(BaseModel):
    """One side's signature."""

    side: str
    signed_by: UUID
    signed_at: datetime


class AgreementResponse(BaseModel):
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
    signatures: list[SignatureResponse]
    grant_id: UUID | None
