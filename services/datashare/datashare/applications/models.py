"""Applications, and the facts about them: advice and decision, each by other hands than those before (P6)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, ForeignKeyConstraint, Index, Integer, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from datashare.applications.problems import ApplicationStep
from datashare.tables import Base

__all__ = ["OPEN", "TRANSITIONS", "Advice", "Application", "ApplicationState", "Decision"]


class ApplicationState(StrEnum):
    """Where an application stands. Time moves none of them: silence never approves (P7)."""

    SUBMITTED = "submitted"
    ADVISED = "advised"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


S = ApplicationState
TRANSITIONS: dict[ApplicationState, frozenset[ApplicationState]] = {
    S.SUBMITTED: frozenset({S.ADVISED, S.WITHDRAWN}),
    S.ADVISED: frozenset({S.APPROVED, S.REJECTED, S.WITHDRAWN}),
    S.APPROVED: frozenset(),
    S.REJECTED: frozenset(),
    S.WITHDRAWN: frozenset(),
}
OPEN = tuple(state for state, steps in TRANSITIONS.items() if steps)
"""States in which somebody still has to act."""


class Application(Base):
    """What a unit asks for."""

    __tablename__ = "applications"
    __table_args__ = (UniqueConstraint("id", "applicant"), Index(None, "unit_id", "id"))

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    applicant: Mapped[UUID] = mapped_column(Uuid, index=True)
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR))
    term_days: Mapped[int] = mapped_column(Integer)
    quota_calls: Mapped[int] = mapped_column(Integer)
    quota_rows: Mapped[int] = mapped_column(Integer)
    quota_subjects: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
    submitted_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    ends_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    state: Mapped[ApplicationState] = mapped_column(Text, default=ApplicationState.SUBMITTED)
    withdrawn_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    withdrawn_for: Mapped[str | None] = mapped_column(Text, default=None)

    def may(self, state: ApplicationState) -> bool:
        """Whether the table has this step."""
        return state in TRANSITIONS[ApplicationState(self.state)]

    def move_to(self, state: ApplicationState) -> None:
        """Take a step. Raises `ApplicationStep` for one that the table does not have."""
        if not self.may(state):
            raise ApplicationStep(state=self.state, wanted=state)
        self.state = state


class Advice(Base):
    """The center's opinion, once."""

    __tablename__ = "advices"
    __table_args__ = (
        UniqueConstraint("application_id", "applicant", "advised_by"),
        ForeignKeyConstraint(["application_id", "applicant"], ["applications.id", "applications.applicant"]),
    )

    application_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    applicant: Mapped[UUID] = mapped_column(Uuid)
    advised_by: Mapped[UUID] = mapped_column(Uuid)
    advice: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    advised_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Decision(Base):
    """The authority's decision, once, and only after the advice."""

    __tablename__ = "decisions"
    __table_args__ = (
        ForeignKeyConstraint(
            ["application_id", "applicant", "advised_by"],
            ["advices.application_id", "advices.applicant", "advices.advised_by"],
        ),
    )

    application_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    applicant: Mapped[UUID] = mapped_column(Uuid)
    advised_by: Mapped[UUID] = mapped_column(Uuid)
    decided_by: Mapped[UUID] = mapped_column(Uuid)
    decision: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
