"""Attempts, their results, and signatures: facts that are only appended (P8)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Attempt(Base):
    """The questions that one person was asked."""

    __tablename__ = "training_attempts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    questions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    begun_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class Result(Base):
    """The grade of an attempt, by the pass mark then in force; `valid_until` for passed ones only."""

    __tablename__ = "training_results"

    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("training_attempts.id"), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    answers: Mapped[dict[str, str]] = mapped_column(JSONB)
    score: Mapped[int]
    pass_mark: Mapped[int]
    graded_at: Mapped[datetime]
    valid_until: Mapped[datetime | None]

    @property
    def passed(self) -> bool:
        """Whether the score reached the mark."""
        return self.score >= self.pass_mark


class Signature(Base):
    """A person signed the undertaking whose text has this digest."""

    __tablename__ = "undertaking_signatures"
    __table_args__ = (UniqueConstraint("account_id", "digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    digest: Mapped[str]
    signed_at: Mapped[datetime]
