"""Filings of data-security rules; a new one is added, none is changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, Text, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base

__all__ = ["DataRules"]


class DataRules(Base):
    """One filing of a unit (10.1); it counts from `filed_at` until `valid_until`."""

    __tablename__ = "data_rules"
    __table_args__ = (Index(None, "unit_id", "valid_until"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    title: Mapped[str] = mapped_column(Text)
    text: Mapped[str | None] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)
    filed_by: Mapped[UUID] = mapped_column(Uuid)
    filed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    valid_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
