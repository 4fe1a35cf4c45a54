"""Receipts of cutoffs."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class ReceiptRow(Base):
    """One enforcement point's receipt of one cutoff."""

    __tablename__ = "cutoff_receipts"

    cutoff_id: Mapped[UUID] = mapped_column(ForeignKey("cutoffs.id"), primary_key=True)
    point: Mapped[str] = mapped_column(primary_key=True)
    applied_at: Mapped[datetime]
