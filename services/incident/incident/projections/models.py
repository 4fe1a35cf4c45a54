"""Projections of units, accounts, systems and grants, fed by events in whatever order they come."""

from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from incident.tables import Base

__all__ = ["AccountView", "GrantView", "SystemView", "UnitView"]


class UnitView(Base):
    """A unit. `heard` is the publisher's number of the newest event that set `status`; older ones change nothing."""

    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    heard: Mapped[int] = mapped_column(BigInteger)


class AccountView(Base):
    """A person's account and its unit."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    heard: Mapped[int] = mapped_column(BigInteger)


class SystemView(Base):
    """A connected system and its unit."""

    __tablename__ = "systems"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    heard: Mapped[int] = mapped_column(BigInteger)


class GrantView(Base):
    """A grant; `resource` None and no `systems` or `purposes` until its activation was heard of."""

    __tablename__ = "grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    heard: Mapped[int] = mapped_column(BigInteger)
    resource: Mapped[UUID | None] = mapped_column(default=None)
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default_factory=list)
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text()), default_factory=list)
