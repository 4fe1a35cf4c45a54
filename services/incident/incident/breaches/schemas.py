"""Bodies of breaches and their files."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.web.timestamps import Timestamp

__all__ = [
    "AuthorityReportRequest",
    "AuthorityReportView",
    "BreachFile",
    "BreachReport",
    "BreachSummary",
    "Containment",
    "FactCorrection",
    "FactView",
    "ObligationView",
    "OrderView",
    "ProbeView",
    "ProposalView",
    "Scope",
    "StepView",
]

Ids = Annotated[list[UUID], Field(default_factory=list, max_length=50)]
Words = Annotated[str, Field(min_length=4, max_length=4000)]


class Scope(BaseModel):
    """What the breach touches, and so what is contained: at least one thing."""

    model_config = ConfigDict(extra="forbid")

    systems: Ids
    accounts: Ids
    grants: Ids
    units: Ids

    @model_validator(mode="after")
    def _something(self) -> "Scope":
        if not (self.systems or self.accounts or self.grants or self.units):
            raise ValueError("a breach touches something")
        return self


class BreachReport(BaseModel):
    """A report; a time that nobody knows is null, not a guess."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["leak", "damage", "loss", "misuse"]
    description: Words
    occurred_at: Timestamp | None
    detected_at: Timestamp
    aware_at: Timestamp | None = None
    scope: Scope


class FactCorrection(BaseModel):
    """A later fact: it supersedes the earlier one of its kind, which stays in the file."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["occurred", "detected", "aware"]
    at: Timestamp | None
    reason: Annotated[str, Field(min_length=4, max_length=500)]


class AuthorityReportRequest(BaseModel):
    """What the responsible unit tells the authority."""

    model_config = ConfigDict(extra="forbid")

    content: Words


class FactView(BaseModel):
    """A fact; `superseded` says that a later one counts."""

    id: UUID
    kind: str
    at: datetime | None
    recorded_by: str
    recorded_at: datetime
    supersedes: UUID | None
    reason: str | None
    superseded: bool


class StepView(BaseModel):
    """One line of an order's timeline; `effective_at` is the executor's own time."""

    state: str
    at: datetime
    detail: str | None
    effective_at: datetime | None


class ProbeView(BaseModel):
    """One attempt to show that the door is shut, or open again."""

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


class OrderView(BaseModel):
    """An order with its timeline; `unprobed` says why no probe applies."""

    id: UUID
    executor: str
    measure: str
    target_kind: str
    target_id: UUID
    state: str
    ordered_at: datetime
    confirmed_at: datetime | None
    probed_at: datetime | None
    lifted_at: datetime | None
    restored_at: datetime | None
    reopened_at: datetime | None
    unprobed: str | None
    grants: list[UUID]
    timeline: list[StepView]
    probes: list[ProbeView]


class Containment(BaseModel):
    """How far it has come, counted over all orders.

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


class AuthorityReportView(BaseModel):
    """One report to the authority."""

    id: UUID
    content: str
    reported_by: UUID
    reported_at: datetime


class ObligationView(BaseModel):
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


class ProposalView(BaseModel):
    """A proposal to lift."""

    id: UUID
    incident_id: UUID
    state: str
    proposed_by: UUID
    reason: str
    proposed_at: datetime
    decided_by: UUID | None
    decided_at: datetime | None


class BreachFile(BaseModel):
    """Everything about a breach, at any time."""

    id: UUID
    kind: str
    description: str
    unit_id: UUID | None
    reporter_id: UUID
    reporter_unit: UUID
    reported_at: datetime
    version: int
    facts: list[FactView]
    containment: Containment
    orders: list[OrderView]
    obligations: list[ObligationView]
    reports: list[AuthorityReportView]
    proposals: list[ProposalView]


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
