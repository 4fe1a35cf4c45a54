"""A proposal to lift the containment of an incident."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from incident.problems import LiftDecided
from incident.tables import Base

__all__ = ["TRANSITIONS", "LiftProposal", "LiftState"]


class LiftState(StrEnum):
    """Where a proposal stands."""

    OPEN = "open"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


TRANSITIONS: dict[LiftState, frozenset[LiftState]] = {
    LiftState.OPEN: frozenset({LiftState.APPROVED, LiftState.WITHDRAWN}),
    LiftState.APPROVED: frozenset(),
    LiftState.WITHDRAWN: frozenset(),
}


class LiftProposal(Base):
    """One proposal; the database itself refuses an approval by the proposer (P6)."""

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

    def move_to(self, state: LiftState, *, by: UUID, at: datetime) -> None:
        """Decide. Raises `LiftDecided`."""
        if state not in TRANSITIONS[LiftState(self.state)]:
            raise LiftDecided(state=self.state)
        self.state, self.decided_by, self.decided_at = state, by, at
