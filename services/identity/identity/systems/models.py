"""One connected system."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from identity.suspensions.models import Suspendable
from identity.systems.problems import SystemStep
from identity.tables import Base


class SystemState(StrEnum):
    """`registered`: waits for approval. `suspended` while any suspension is open. `decommissioned`: for good."""

    REGISTERED = "registered"
    APPROVED = "approved"
    SUSPENDED = "suspended"
    DECOMMISSIONED = "decommissioned"


class ConnectedSystem(Suspendable, Base):
    """A unit's system with its responsible person (clause 5p.1); `origins` are the networks that it may come from."""

    TRANSITIONS: ClassVar = {
        SystemState.REGISTERED: frozenset({SystemState.APPROVED, SystemState.SUSPENDED, SystemState.DECOMMISSIONED}),
        SystemState.APPROVED: frozenset({SystemState.SUSPENDED, SystemState.DECOMMISSIONED}),
        SystemState.SUSPENDED: frozenset({SystemState.APPROVED, SystemState.REGISTERED, SystemState.DECOMMISSIONED}),
        SystemState.DECOMMISSIONED: frozenset(),
    }
    KIND: ClassVar = "system"
    SUSPENDED: ClassVar = SystemState.SUSPENDED
    STEP_PROBLEM: ClassVar = SystemStep

    __tablename__ = "systems"
    __table_args__ = (ForeignKeyConstraint(["responsible", "unit_id"], ["accounts.id", "accounts.unit_id"]),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    name: Mapped[str]
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR))
    responsible: Mapped[UUID]
    registered_by: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    registered_at: Mapped[datetime]
    state: Mapped[SystemState] = mapped_column(Text, default=SystemState.REGISTERED)
    approved_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    approved_at: Mapped[datetime | None] = mapped_column(default=None)
    secret_hash: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    secret_set_at: Mapped[datetime | None] = mapped_column(default=None)
    decommissioned_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def reinstated_state(self) -> SystemState:
        """The state to which it returns once the last suspension is lifted."""
        return SystemState.APPROVED if self.approved_at else SystemState.REGISTERED
