"""Grants and their suspensions: a grant is active while it is neither revoked nor under an open suspension."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, Index, Integer, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from datashare.grants.problems import GrantStep
from datashare.tables import Base

__all__ = ["TRANSITIONS", "Grant", "GrantState", "Suspension"]


class GrantState(StrEnum):
    """Computed from the facts, never stored. Expiry is none of them: it is a comparison (P7)."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


TRANSITIONS: dict[GrantState, frozenset[GrantState]] = {
    GrantState.ACTIVE: frozenset({GrantState.SUSPENDED, GrantState.REVOKED}),
    # Suspended again: for another cause, each of which must be lifted.
    GrantState.SUSPENDED: frozenset({GrantState.SUSPENDED, GrantState.ACTIVE, GrantState.REVOKED}),
    GrantState.REVOKED: frozenset(),
}


class Grant(Base):
    """What one agreement lets a unit do. Nothing of it changes but that it ends."""

    __tablename__ = "grants"
    __table_args__ = (Index(None, "unit_id", "resource_id"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"), index=True)
    agreement_id: Mapped[UUID] = mapped_column(ForeignKey("agreements.id"), unique=True)
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR))
    valid_from: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    quota_calls: Mapped[int] = mapped_column(Integer)
    quota_rows: Mapped[int] = mapped_column(Integer)
    quota_subjects: Mapped[int] = mapped_column(Integer)
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    revoked_by: Mapped[str | None] = mapped_column(Text, default=None)
    revoked_for: Mapped[str | None] = mapped_column(Text, default=None)

    def state(self, open_suspensions: Collection["Suspension"]) -> GrantState:
        """Return what the facts make of it."""
        if self.revoked_at is not None:
            return GrantState.REVOKED
        return GrantState.SUSPENDED if open_suspensions else GrantState.ACTIVE

    def require_step(self, open_suspensions: Collection["Suspension"], state: GrantState) -> None:
        """Raise `GrantStep` for a step that the table does not have."""
        now = self.state(open_suspensions)
        if state not in TRANSITIONS[now]:
            raise GrantStep(state=now, wanted=state)


class Suspension(Base):
    """One cause for which a grant gives nothing; lifting ends this one and leaves the others."""

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

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"))
    cause: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    suspended_by: Mapped[str] = mapped_column(Text)
    suspended_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lifted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    lifted_by: Mapped[str | None] = mapped_column(Text, default=None)
