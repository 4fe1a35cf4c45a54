"""Projections of units, accounts, systems and grants, built from events in any order."""

from uuid import UUID

from sqlalchemy import Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.base import BigInt
from incident.tables import Base


class Unit(Base):
    """A unit. `sequence` is the publisher's number of the newest event that set `status`; older events change nothing."""

    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    status: Mapped[str]
    sequence: Mapped[BigInt] = mapped_column("heard")


class Account(Base):
    """A person's account and its unit."""

    __tablename__ = "accounts"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    sequence: Mapped[BigInt] = mapped_column("heard")


class System(Base):
    """A connected system and its unit."""

    __tablename__ = "systems"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    sequence: Mapped[BigInt] = mapped_column("heard")


class Grant(Base):
    """A grant; `resource` is None, `systems` and `purposes` are empty until its activation has arrived."""

    __tablename__ = "grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit: Mapped[UUID]
    status: Mapped[str]
    sequence: Mapped[BigInt] = mapped_column("heard")
    resource: Mapped[UUID | None] = mapped_column(default=None)
    systems: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default_factory=list)
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text()), default_factory=list)
