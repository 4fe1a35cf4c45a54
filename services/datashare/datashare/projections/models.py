"""What identity said of units, accounts, appointments and systems."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid, false, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base

__all__ = ["Account", "Appointment", "System", "Unit"]

NONE = text("'{}'")


class Unit(Base):
    """A unit; without a kind it was heard of, and its registration was not."""

    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    kind: Mapped[str | None] = mapped_column(Text, default=None)
    name: Mapped[str | None] = mapped_column(Text, default=None)
    uscc: Mapped[str | None] = mapped_column(Text, default=None)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE, default_factory=list)


class Account(Base):
    """A person's account: whether it is active, trained and bound by the undertaking."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    activated: Mapped[bool] = mapped_column(server_default=false(), default=False)
    revoked: Mapped[bool] = mapped_column(server_default=false(), default=False)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE, default_factory=list)
    trained_until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
    undertaking_signed: Mapped[bool] = mapped_column(server_default=false(), default=False)


class Appointment(Base):
    """An appointment to a post, with the post's permissions."""

    __tablename__ = "appointments"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    account_id: Mapped[UUID] = mapped_column(Uuid, index=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    post: Mapped[str | None] = mapped_column(Text, default=None)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE, default_factory=list)
    ended: Mapped[bool] = mapped_column(server_default=false(), default=False)


class System(Base):
    """A connected system and its registered network origins."""

    __tablename__ = "systems"

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    name: Mapped[str | None] = mapped_column(Text, default=None)
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR), server_default=NONE, default_factory=list)
    responsible: Mapped[UUID | None] = mapped_column(Uuid, index=True, default=None)
    approved: Mapped[bool] = mapped_column(server_default=false(), default=False)
    decommissioned: Mapped[bool] = mapped_column(server_default=false(), default=False)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE, default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether it may get something."""
        return self.approved and not self.decommissioned and not self.suspended_for
