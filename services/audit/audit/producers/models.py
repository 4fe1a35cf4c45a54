"""Recorded gaps, watermarks and silences of producers."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from audit.tables import Base
from common.storage.base import BigInt


class Gap(Base):
    """The numbers between `after` and `before` were missing at `found_at`; the log shows whether they arrived later."""

    __tablename__ = "gaps"
    __table_args__ = (CheckConstraint("after >= 0 AND before > after + 1", name="missing"),)

    source: Mapped[str] = mapped_column(primary_key=True)
    after: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    before: Mapped[BigInt]
    found_at: Mapped[datetime]


class Watermark(Base):
    """Every number up to `number` is in the log or in a recorded gap: scans start there."""

    __tablename__ = "watermarks"

    source: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]


class Silence(Base):
    """A published silence of a producer whose last message came at `last_seen_at`, or that was expected from then on."""

    __tablename__ = "silences"

    source: Mapped[str] = mapped_column(primary_key=True)
    last_seen_at: Mapped[datetime] = mapped_column("last_heard_at", primary_key=True)
    found_at: Mapped[datetime]
