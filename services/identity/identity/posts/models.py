"""A post, and an appointment to it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from identity.posts.problems import AppointmentEnded
from identity.tables import Base


class Post(Base):
    """A post of a unit with its permissions; immutable, so that a post's meaning in old records does not change."""

    __tablename__ = "posts"
    __table_args__ = (UniqueConstraint("unit_id", "name"), UniqueConstraint("id", "unit_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    name: Mapped[str]
    title: Mapped[str]
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text))
    made_at: Mapped[datetime]


class Appointment(Base):
    """A person holds a post from `made_at` until `until` or `ended_at`, whichever is first."""

    __tablename__ = "appointments"
    __table_args__ = (
        ForeignKeyConstraint(["account_id", "unit_id"], ["accounts.id", "accounts.unit_id"]),
        ForeignKeyConstraint(["post_id", "unit_id"], ["posts.id", "posts.unit_id"]),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID]
    unit_id: Mapped[UUID]
    post_id: Mapped[UUID]
    made_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    made_at: Mapped[datetime]
    until: Mapped[datetime | None] = mapped_column(default=None)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    ended_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    reason: Mapped[str | None] = mapped_column(default=None)

    def holds_at(self, when: datetime) -> bool:
        """Whether it is in force at `when` (P7)."""
        return self.ended_at is None and (self.until is None or when < self.until)

    def end(self, at: datetime, by: UUID | None, reason: str) -> None:
        """End the appointment. Raises `AppointmentEnded` for an ended one."""
        if self.ended_at is not None:
            raise AppointmentEnded
        self.ended_at, self.ended_by, self.reason = at, by, reason
