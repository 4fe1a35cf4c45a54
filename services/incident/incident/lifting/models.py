"""A proposal to lift the containment of an incident."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from incident.lifting.problems import LiftDecided
from incident.tables import Base


class LiftState(StrEnum):
    """The states of a proposal."""

    OPEN = "open"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


class LiftProposal(StateMachine, Base):
    """One proposal; the database itself refuses an approval by the proposer (P6)."""

    TRANSITIONS: ClassVar = {
        LiftState.OPEN: frozenset({LiftState.APPROVED, LiftState.WITHDRAWN}),
        LiftState.APPROVED: frozenset(),
        LiftState.WITHDRAWN: frozenset(),
    }
    STEP_PROBLEM = LiftDecided

    __tablename__ = "lift_proposals"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'approved', 'withdrawn')", name="state"),
        CheckConstraint(
            "(state = 'open') = (decided_by IS NULL) AND (state = 'open') = (decided_at IS NULL)", name="decided"
        ),
        CheckConstraint("(state = 'approved') <= (decided_by <> proposed_by)", name="two_people"),
        CheckConstraint("(state = 'withdrawn') <= (decided_by = proposed_by)", name="withdrawn"),
        Index("lift_proposals_open_idx", "incident_id", unique=True, postgresql_where=text("state = 'open'")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), index=True)
    proposed_by: Mapped[UUID]
    reason: Mapped[str]
    proposed_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default=LiftState.OPEN)
    decided_by: Mapped[UUID | None] = mapped_column(default=None)
    decided_at: Mapped[datetime | None] = mapped_column(default=None)

    def decide(self, state: LiftState, *, by: UUID, at: datetime) -> None:
        """Approve or withdraw. Raises `LiftDecided`."""
        self.move_to(state)
        self.decided_by, self.decided_at = by, at
