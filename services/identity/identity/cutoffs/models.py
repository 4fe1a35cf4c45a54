"""Epochs and cutoffs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Epoch(Base):
    """The epoch that new credentials of a subject carry; a subject without a row is at 0."""

    __tablename__ = "epochs"

    subject: Mapped[str] = mapped_column(primary_key=True)
    epoch: Mapped[int]


class CutoffRow(Base):
    """One cutoff, as published on the feed."""

    __tablename__ = "cutoffs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(index=True)
    epoch: Mapped[int]
    reason: Mapped[str]
    cause: Mapped[str | None]
    at: Mapped[datetime]
    effective_at: Mapped[datetime | None] = mapped_column(default=None)
