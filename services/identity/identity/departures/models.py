"""One departure file."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from identity.departures.problems import DepartureStep
from identity.tables import Base


class DepartureState(StrEnum):
    """States of a departure."""

    REPORTED = "reported"
    CANCELLED = "account-cancelled"
    CLOSED = "closed"


class Departure(StateMachine, Base):
    """A departure of one account; the times are facts, lateness is computed from them."""

    TRANSITIONS: ClassVar = {
        DepartureState.REPORTED: frozenset({DepartureState.CANCELLED}),
        DepartureState.CANCELLED: frozenset({DepartureState.CLOSED}),
        DepartureState.CLOSED: frozenset(),
    }
    STEP_PROBLEM: ClassVar = DepartureStep

    __tablename__ = "departures"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"), unique=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"), index=True)
    kind: Mapped[str]
    left_at: Mapped[datetime]
    reported_at: Mapped[datetime]
    reported_by: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    state: Mapped[DepartureState] = mapped_column(Text, default=DepartureState.REPORTED)
    cancelled_at: Mapped[datetime | None] = mapped_column(default=None)
    cancelled_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    closed_at: Mapped[datetime | None] = mapped_column(default=None)
