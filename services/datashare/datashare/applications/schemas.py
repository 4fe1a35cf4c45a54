"""Bodies of the endpoints of applications."""

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.web.timestamps import Timestamp
from datashare.schemas import FieldName, Purpose, Quota, Reason, ResourceCode


class ApplicationRequest(BaseModel):
    """The use that a unit applies for. `origins`: part of the systems' registered networks; default: all of them.

    The term runs `term_days` from the day on which the agreement comes into force, and not beyond `ends_at`.
    `quota`: per day; default: the opening's limits.
    """

    model_config = ConfigDict(extra="forbid")

    resource: ResourceCode
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=30)]
    fields: Annotated[list[FieldName], Field(min_length=1, max_length=60)]
    systems: Annotated[list[UUID], Field(max_length=20)] = []
    origins: Annotated[list[IPv4Network | IPv6Network], Field(min_length=1, max_length=50)] | None = None
    term_days: Annotated[int, Field(ge=1, le=3650)]
    ends_at: Timestamp | None = None
    quota: Quota | None = None
    reason: Reason


class AdviceRequest(BaseModel):
    """The center's opinion."""

    model_config = ConfigDict(extra="forbid")
    advice: Literal["support", "oppose"]
    reason: Reason


class DecisionRequest(BaseModel):
    """The authority's decision."""

    model_config = ConfigDict(extra="forbid")
    decision: Literal["approved", "rejected"]
    reason: Reason


class AdviceResponse(BaseModel):
    """The center's opinion."""

    advice: str
    reason: str
    advised_by: UUID
    advised_at: datetime


class DecisionResponse(BaseModel):
    """The authority's decision."""

    decision: str
    reason: str
    decided_by: UUID
    decided_at: datetime


class ApplicationResponse(BaseModel):
    """An application with its advice and decision; `agreement_id` once it is approved."""

    id: UUID
    unit_id: UUID
    resource: str
    applicant: UUID
    purposes: list[str]
    fields: list[str]
    systems: list[UUID]
    origins: list[str]
    term_days: int
    ends_at: datetime | None
    quota: Quota
    reason: str
    state: str
    submitted_at: datetime
    withdrawn_at: datetime | None = None
    withdrawn_for: str | None = None
    advice: AdviceResponse | None = None
    decision: DecisionResponse | None = None
    agreement_id: UUID | None = None
