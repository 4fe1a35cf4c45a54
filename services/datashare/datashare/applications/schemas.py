"""Bodies of the application endpoints."""

from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.web.timestamps import Timestamp
from datashare.openings.schemas import FieldName, Purpose, Quota, Reason
from datashare.resources.schemas import Code

__all__ = ["AdviceGiven", "AdviceView", "ApplicationView", "ApplicationWanted", "DecisionTaken", "DecisionView", "Why"]


class ApplicationWanted(BaseModel):
    """What the unit asks for. `origins`: a part of the systems' registered networks, all of them where none is named.

    The term runs `term_days` from the agreement's coming into force, and to `ends_at` at the latest where one is named.
    `quota`: per day, the opening's ceilings where none is named.
    """

    model_config = ConfigDict(extra="forbid")

    resource: Code
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=30)]
    fields: Annotated[list[FieldName], Field(min_length=1, max_length=60)]
    systems: Annotated[list[UUID], Field(max_length=20)] = []
    origins: Annotated[list[IPv4Network | IPv6Network], Field(min_length=1, max_length=50)] | None = None
    term_days: Annotated[int, Field(ge=1, le=3650)]
    ends_at: Timestamp | None = None
    quota: Quota | None = None
    reason: Reason


class AdviceGiven(BaseModel):
    """The center's opinion."""

    model_config = ConfigDict(extra="forbid")
    advice: Literal["support", "oppose"]
    reason: Reason


class DecisionTaken(BaseModel):
    """The authority's decision."""

    model_config = ConfigDict(extra="forbid")
    decision: Literal["approved", "rejected"]
    reason: Reason


class Why(BaseModel):
    """The reason of a step."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason


class AdviceView(BaseModel):
    """The opinion that was given."""

    advice: str
    reason: str
    advised_by: UUID
    advised_at: datetime


class DecisionView(BaseModel):
    """The decision that was taken."""

    decision: str
    reason: str
    decided_by: UUID
    decided_at: datetime


class ApplicationView(BaseModel):
    """An application with what was said about it; `agreement_id` once it is approved."""

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
    advice: AdviceView | None = None
    decision: DecisionView | None = None
    agreement_id: UUID | None = None
