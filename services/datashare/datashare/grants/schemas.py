"""Bodies of the endpoints of grants."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from datashare.schemas import Quota


class SuspensionResponse(BaseModel):
    """One cause of suspension, open while `lifted_at` is not set."""

    id: UUID
    cause: str
    reason: str
    suspended_at: datetime
    lifted_at: datetime | None


class GrantResponse(BaseModel):
    """A grant; `state` follows from revocation and suspensions, `expired` from its term and the clock."""

    id: UUID
    unit_id: UUID
    resource: str
    agreement_id: UUID
    systems: list[UUID]
    purposes: list[str]
    fields: list[str]
    origins: list[str]
    valid_from: datetime
    valid_until: datetime
    quota: Quota
    state: str
    expired: bool
    revoked_at: datetime | None
    revoked_for: str | None
    suspensions: list[SuspensionResponse]
