"""Grants and their suspensions: a grant is active while it is neither revoked nor under an open suspension."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from datashare.grants.problems import GrantStep
from datashare.tables import Base


class GrantState(StrEnum):
    """Computed from revocation and suspensions, never stored. Expiry is a comparison, not a state (P7)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


TRANSITIONS: dict[GrantState, frozenset[GrantState]] = {
    GrantState.ACTIVE: frozenset({GrantState.SUSPENDED, GrantState.REVOKED}),
    # SUSPENDED to SUSPENDED: by another cause, each of which must be lifted.
    GrantState.SUSPENDED: frozenset({GrantState.SUSPENDED, GrantState.ACTIVE, GrantState.REVOKED}),
    GrantState.REVOKED: frozenset(),
}


class Grant(Base):
    """The use that one agreement allows a unit. Only its revocation changes the row."""

    __tablename__ = "grants"
    __table_args__ = (Index(None, "unit_id", "resource_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID]
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"), index=True)
    agreement_id: Mapped[UUID] = mapped_column(ForeignKey("agreements.id"), unique=True)
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]
    quota_calls: Mapped[int]
    quota_rows: Mapped[int]
    quota_subjects: Mapped[int]
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)
    revoked_by: Mapped[str | None] = mapped_column(default=None)
    revoked_for: Mapped[str | None] = mapped_column(default=None)

    def state(self, open_suspensions: Collection["Suspension"]) -> GrantState:
        """Return the state that follows from revocation and open suspensions."""
        if self.revoked_at is not None:
            return GrantState.REVOKED
        return GrantState.SUSPENDED if open_suspensions else GrantState.ACTIVE

    def require_step(self, open_suspensions: Collection["Suspension"], state: GrantState) -> None:
        """Raise `GrantStep` for a step that the table does not have."""
        now = self.state(open_suspensions)
        if state not in TRANSITIONS[now]:
            raise GrantStep(state=now, wanted=state)


class Suspension(Base):
    """One cause for which a grant is suspended; each is lifted on its own."""

    __tablename__ = "suspensions"
    __table_args__ = (
        Index(
            "suspensions_grant_id_cause_key",
            "grant_id",
            "cause",
            unique=True,
            postgresql_where=text("lifted_at IS NULL"),
        ),
        Index("suspensions_cause_idx", "cause", postgresql_where=text("lifted_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"))
    cause: Mapped[str]
    reason: Mapped[str]
    suspended_by: Mapped[str]
    suspended_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
    lifted_by: Mapped[str | None] = mapped_column(default=None)
