"""Bodies of the departure endpoints."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from common.web.timestamps import Timestamp
from identity.acknowledgements.schemas import EffectivenessResponse


class DepartureRequest(BaseModel):
    """The account that leaves or transfers, and when that took effect at the unit."""

    model_config = ConfigDict(extra="forbid")
    account_id: UUID
    kind: Literal["transfer", "departure"]
    left_at: Timestamp


class DepartureResponse(BaseModel):
    """A departure file's state."""

    id: UUID
    account_id: UUID
    unit_id: UUID
    kind: str
    state: str
    left_at: datetime
    reported_at: datetime
    late: bool
    cancelled_at: datetime | None
    closed_at: datetime | None
    handover_id: UUID | None


class DepartureEffectResponse(BaseModel):
    """The file, and since when and where the account's credentials are refused."""

    departure: DepartureResponse
    effective: EffectivenessResponse


class DepartureCutoffResponse(BaseModel):
    """One cutoff with its receipts."""

    subject: str
    reason: str
    at: datetime
    effective_at: datetime | None
    receipts: dict[str, datetime]


class DepartureDetailResponse(DepartureResponse):
    """The whole file."""

    cutoffs: list[DepartureCutoffResponse]
