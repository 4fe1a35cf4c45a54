"""Incidents, their facts, and the obligations that follow from them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from incident.tables import Base


class FactKind(StrEnum):
    """The kinds of facts of an incident, each with a time that may be unknown."""

    OCCURRED = "occurred"
    DETECTED = "detected"
    AWARE = "aware"
    REPORTED = "reported"


class Incident(Base):
    """One breach. `unit_id` is the responsible unit; None where the scope touches several.

    Only `version` ever changes: it counts the steps of the file, and its row is the lock of the aggregate.
    """

    __tablename__ = "incidents"
    __table_args__ = (CheckConstraint("kind IN ('leak', 'damage', 'loss', 'misuse')", name="kind"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    description: Mapped[str]
    unit_id: Mapped[UUID | None]
    reporter_id: Mapped[UUID]
    reporter_unit: Mapped[UUID]
    reported_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(default=1)


class Fact(Base):
    """One fact, appended (P8): `at` None says that it is unknown; a correction names what it `supersedes` and why."""

    __tablename__ = "incident_facts"
    __table_args__ = (
        CheckConstraint("kind IN ('occurred', 'detected', 'aware', 'reported')", name="kind"),
        CheckConstraint("(supersedes IS NULL) = (reason IS NULL)", name="correction"),
        UniqueConstraint("supersedes"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), index=True)
    kind: Mapped[str]
    at: Mapped[datetime | None]
    recorded_by: Mapped[str]
    recorded_at: Mapped[datetime]
    supersedes: Mapped[UUID | None] = mapped_column(ForeignKey("incident_facts.id"), default=None)
    reason: Mapped[str | None] = mapped_column(default=None)


def current_facts(facts: Sequence[Fact]) -> dict[FactKind, Fact]:
    """Return the fact of each kind that no other fact supersedes."""
    superseded = {fact.supersedes for fact in facts}
    return {FactKind(fact.kind): fact for fact in facts if fact.id not in superseded}


class Obligation(Base):
    """A duty by a dated rule (P9): never edited; its lateness is computed when it is read."""

    __tablename__ = "obligations"
    __table_args__ = (UniqueConstraint("incident_id", "content"), CheckConstraint("due_at >= from_at", name="term"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    content: Mapped[str]
    clause: Mapped[str]
    basis: Mapped[str]
    policy: Mapped[str]
    policy_version: Mapped[int]
    from_at: Mapped[datetime]
    due_at: Mapped[datetime]

    def late_by(self, met_at: datetime | None, now: datetime) -> timedelta:
        """Return by how much it is, or was, late; zero when it was met in time or its term still runs."""
        return max(timedelta(), (met_at or now) - self.due_at)


class AuthorityReport(Base):
    """One report to the authority; the first discharges the obligation, a later one never moves its term."""

    __tablename__ = "authority_reports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"), index=True)
    content: Mapped[str]
    reported_by: Mapped[UUID]
    reported_at: Mapped[datetime]
