"""Applications, and the facts about them: advice and decision, each by another person (P6)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from datashare.applications.problems import ApplicationStep
from datashare.tables import Base


class ApplicationState(StrEnum):
    """The state of an application. Passing time changes none: silence never approves (P7)."""

    SUBMITTED = "submitted"
    ADVISED = "advised"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


S = ApplicationState


class Application(StateMachine, Base):
    """The use that a unit applies for."""

    TRANSITIONS: ClassVar = {
        S.SUBMITTED: frozenset({S.ADVISED, S.WITHDRAWN}),
        S.ADVISED: frozenset({S.APPROVED, S.REJECTED, S.WITHDRAWN}),
        S.APPROVED: frozenset(),
        S.REJECTED: frozenset(),
        S.WITHDRAWN: frozenset(),
    }
    STEP_PROBLEM: ClassVar = ApplicationStep

    __tablename__ = "applications"
    __table_args__ = (UniqueConstraint("id", "applicant"), Index(None, "unit_id", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID]
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    applicant: Mapped[UUID] = mapped_column(index=True)
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR))
    term_days: Mapped[int]
    quota_calls: Mapped[int]
    quota_rows: Mapped[int]
    quota_subjects: Mapped[int]
    reason: Mapped[str]
    submitted_at: Mapped[datetime]
    ends_at: Mapped[datetime | None] = mapped_column(default=None)
    state: Mapped[ApplicationState] = mapped_column(Text, default=ApplicationState.SUBMITTED)
    withdrawn_at: Mapped[datetime | None] = mapped_column(default=None)
    withdrawn_for: Mapped[str | None] = mapped_column(default=None)


UNDECIDED_STATES = tuple(state for state, steps in Application.TRANSITIONS.items() if steps)


class Advice(Base):
    """The center's opinion, once."""

    __tablename__ = "advices"
    __table_args__ = (
        UniqueConstraint("application_id", "applicant", "advised_by"),
        ForeignKeyConstraint(["application_id", "applicant"], ["applications.id", "applications.applicant"]),
    )

    application_id: Mapped[UUID] = mapped_column(primary_key=True)
    applicant: Mapped[UUID]
    advised_by: Mapped[UUID]
    advice: Mapped[str]
    reason: Mapped[str]
    advised_at: Mapped[datetime]


class Decision(Base):
    """The authority's decision, once, and only after the advice."""

    __tablename__ = "decisions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["application_id", "applicant", "advised_by"],
            ["advices.application_id", "advices.applicant", "advices.advised_by"],
        ),
    )

    application_id: Mapped[UUID] = mapped_column(primary_key=True)
    applicant: Mapped[UUID]
    advised_by: Mapped[UUID]
    decided_by: Mapped[UUID]
    decision: Mapped[str]
    reason: Mapped[str]
    decided_at: Mapped[datetime]
