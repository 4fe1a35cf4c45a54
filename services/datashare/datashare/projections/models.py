"""Projections of identity's units, accounts, appointments and systems."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Text, false, text
from sqlalchemy.dialects.postgresql import ARRAY, CIDR
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base

EMPTY_ARRAY = text("'{}'")


class Unit(Base):
    """A unit; `kind` is None before its registration arrives."""

    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str | None] = mapped_column(default=None)
    name: Mapped[str | None] = mapped_column(default=None)
    uscc: Mapped[str | None] = mapped_column(default=None)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=EMPTY_ARRAY, default_factory=list)


class Account(Base):
    """A person's account, its training and its undertaking."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID]
    activated: Mapped[bool] = mapped_column(server_default=false(), default=False)
    revoked: Mapped[bool] = mapped_column(server_default=false(), default=False)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=EMPTY_ARRAY, default_factory=list)
    trained_until: Mapped[datetime | None] = mapped_column(default=None)
    undertaking_signed: Mapped[bool] = mapped_column(server_default=false(), default=False)


class Appointment(Base):
    """An appointment to a post, with the post's permissions."""

    __tablename__ = "appointments"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(index=True)
    unit_id: Mapped[UUID]
    post: Mapped[str | None] = mapped_column(default=None)
    permissions: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=EMPTY_ARRAY, default_factory=list)
    ended: Mapped[bool] = mapped_column(server_default=false(), default=False)


class System(Base):
    """A connected system and its registered network origins."""

    __tablename__ = "systems"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID]
    name: Mapped[str | None] = mapped_column(default=None)
    origins: Mapped[Sequence[Any]] = mapped_column(ARRAY(CIDR), server_default=EMPTY_ARRAY, default_factory=list)
    responsible: Mapped[UUID | None] = mapped_column(index=True, default=None)
    approved: Mapped[bool] = mapped_column(server_default=false(), default=False)
    decommissioned: Mapped[bool] = mapped_column(server_default=false(), default=False)
    suspended_for: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=EMPTY_ARRAY, default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether the system is approved, not decommissioned and not suspended."""
        return self.approved and not self.decommissioned and not self.suspended_for
