"""Bodies of breaches."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.web.timestamps import Timestamp
from incident.lifting.schemas import LiftProposalResponse
from incident.orders.schemas import OrderResponse

WaitMs = Annotated[
    int, Query(ge=0, le=5000, description="how long the answer waits for confirmations and probes, in milliseconds")
]
Ids = Annotated[list[UUID], Field(default_factory=list, max_length=50)]
Text = Annotated[str, Field(min_length=4, max_length=4000)]


class BreachScope(BaseModel):
    """The objects that the breach touches, and that are contained: at least one."""

    model_config = ConfigDict(extra="forbid")

    systems: Ids
    accounts: Ids
    grants: Ids
    units: Ids

    @model_validator(mode="after")
    def _not_empty(self) -> "BreachScope":
        if not (self.systems or self.accounts or self.grants or self.units):
            raise ValueError("a breach touches something")
        return self


class BreachReportRequest(BaseModel):
    """A report; an unknown time is null, not a guess."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["leak", "damage", "loss", "misuse"]
    description: Text
    occurred_at: Timestamp | None
    detected_at: Timestamp
    aware_at: Timestamp | None = None
    scope: BreachScope


class FactCorrectionRequest(BaseModel):
    """A later fact: it supersedes the earlier one of its kind, which stays in the file."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["occurred", "detected", "aware"]
    at: Timestamp | None
    reason: Annotated[str, Field(min_length=4, max_length=500)]


class AuthorityReportRequest(BaseModel):
    """The responsible unit's report to the authority."""

    model_config = ConfigDict(extra="forbid")

    content: Text


class FactResponse(BaseModel):
    """A fact; `superseded` says that a later one counts."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str
    at: datetime | None
    recorded_by: str
    recorded_at: datetime
    supersedes: UUID | None
    reason: str | None
    superseded: bool = False


class Containment(BaseModel):
    """The progress of containment, counted over all orders.

    `contained`: each is confirmed and each that a probe applies to was refused for that very reason. `milliseconds` run
    from the report to the last such probe. `within_target` compares the last confirmation with the policy.
    """

    state: Literal["ordered", "confirmed", "contained", "failed", "lifted", "restored", "reopened", "not-reopened"]
    orders: int
    confirmed: int
    probed: int
    not_applicable: int
    failed: int
    lifted: int
    reopened: int
    contained_at: datetime | None
    milliseconds: int | None
    target_milliseconds: int
    within_target: bool | None
    summary_zh: str
    summary_en: str


class AuthorityReportResponse(BaseModel):
    """One report to the authority."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    content: str
    reported_by: UUID
    reported_at: datetime


class ObligationResponse(BaseModel):
    """A duty with its term; `overdue` and `late_seconds` are computed now, from the facts."""

    content: str
    clause: str
    basis: str
    policy: str
    policy_version: int
    from_at: datetime
    due_at: datetime
    met_at: datetime | None
    overdue: bool
    late_seconds: int


class Breach(BaseModel):
    """The file of a breach: all that is recorded of it."""

    id: UUID
    kind: str
    description: str
    unit_id: UUID | None
    reporter_id: UUID
    reporter_unit: UUID
    reported_at: datetime
    version: int
    facts: list[FactResponse]
    containment: Containment
    orders: list[OrderResponse]
    obligations: list[ObligationResponse]
    reports: list[AuthorityReportResponse]
    proposals: list[LiftProposalResponse]


class BreachSummary(BaseModel):
    """A line of the list."""

    id: UUID
    kind: str
    unit_id: UUID | None
    reported_at: datetime
    report_due_at: datetime
    reported_to_authority_at: datetime | None
    report_overdue: bool
    report_late_seconds: int
