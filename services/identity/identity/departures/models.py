"""One departure file."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from identity.departures.problems import DepartureStep
from identity.tables import Base

__all__ = ["TRANSITIONS", "Departure", "DepartureState"]


class DepartureState(StrEnum):
    """Where a departure file stands."""

    REPORTED = "reported"
    CANCELLED = "account-cancelled"
    CLOSED = "closed"


TRANSITIONS: dict[DepartureState, frozenset[DepartureState]] = {
    DepartureState.REPORTED: frozenset({DepartureState.CANCELLED}),
    DepartureState.CANCELLED: frozenset({DepartureState.CLOSED}),
    DepartureState.CLOSED: frozenset(),
}


class Departure(Base):
    """A departure of one account; the times are facts, lateness is computed from them."""

    __tablename__ = "departures"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), unique=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), index=True)
    kind: Mapped[str] = mapped_column(Text)
    left_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reported_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    reported_by: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    state: Mapped[DepartureState] = mapped_column(Text, default=DepartureState.REPORTED)
    cancelled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    cancelled_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    closed_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)

    def move_to(self, state: DepartureState) -> None:
        """Take a step. Raises `DepartureStep` for one that the table does not have."""
        if state not in TRANSITIONS[DepartureState(self.state)]:
            raise DepartureStep(state=self.state, wanted=state)
        self.state = state
