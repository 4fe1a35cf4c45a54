"""Filings of data-security rules: rows are added and never changed."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base


class DataRules(Base):
    """One filing of a unit (10.1); it is valid from `filed_at` until `valid_until`."""

    __tablename__ = "data_rules"
    __table_args__ = (Index(None, "unit_id", "valid_until"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID]
    title: Mapped[str]
    text: Mapped[str | None]
    digest: Mapped[str]
    filed_by: Mapped[UUID]
    filed_at: Mapped[datetime]
    valid_until: Mapped[datetime]
