"""A handover and its items."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from identity.handovers.problems import HandoverStep, ItemSettled
from identity.tables import Base


class HandoverState(StrEnum):
    """`opened`: services list the items. `listed`: items can be settled. `completed`: countersigned."""

    OPENED = "opened"
    LISTED = "listed"
    COMPLETED = "completed"


class Handover(StateMachine, Base):
    """The handover of one departure."""

    TRANSITIONS: ClassVar = {
        HandoverState.OPENED: frozenset({HandoverState.LISTED}),
        HandoverState.LISTED: frozenset({HandoverState.COMPLETED}),
        HandoverState.COMPLETED: frozenset(),
    }
    STEP_PROBLEM: ClassVar = HandoverStep

    __tablename__ = "handovers"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    departure_id: Mapped[UUID] = mapped_column(ForeignKey("departures.id"), unique=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), index=True)
    opened_at: Mapped[datetime]
    state: Mapped[HandoverState] = mapped_column(Text, default=HandoverState.OPENED)
    listed_at: Mapped[datetime | None] = mapped_column(default=None)
    completed_at: Mapped[datetime | None] = mapped_column(default=None)
    countersigned_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)


class HandoverItem(Base):
    """One thing that the person was responsible for or obtained; settled once."""

    __tablename__ = "handover_items"
    __table_args__ = (UniqueConstraint("handover_id", "source", "kind", "reference"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    handover_id: Mapped[UUID] = mapped_column(ForeignKey("handovers.id"))
    source: Mapped[str]
    kind: Mapped[str]
    reference: Mapped[str]
    details: Mapped[dict[str, object]] = mapped_column(JSONB)
    outcome: Mapped[str | None] = mapped_column(default=None)
    settled_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    settled_at: Mapped[datetime | None] = mapped_column(default=None)
    note: Mapped[str | None] = mapped_column(default=None)

    def settle(self, outcome: str, by: UUID, at: datetime, note: str | None) -> None:
        """Record the outcome: taken over by `by`, or destroyed. Raises `ItemSettled` for a settled item."""
        if self.outcome is not None:
            raise ItemSettled(outcome=self.outcome)
        self.outcome, self.settled_by, self.settled_at, self.note = outcome, by, at, note
