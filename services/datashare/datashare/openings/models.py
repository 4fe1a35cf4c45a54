"""Versions of openings: rows are added, and the newest is in effect."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base


class Opening(Base):
    """One version of the authority's decision on a resource (10.2); `withdrawn` closes it."""

    __tablename__ = "openings"
    __table_args__ = (UniqueConstraint("resource_id", "version"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    version: Mapped[int]
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    purposes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    unit_kinds: Mapped[list[str]] = mapped_column(ARRAY(Text))
    longest_term_days: Mapped[int]
    quota_calls: Mapped[int]
    quota_rows: Mapped[int]
    quota_subjects: Mapped[int]
    withdrawn: Mapped[bool]
    reason: Mapped[str] = mapped_column(Text)
    set_by: Mapped[UUID]
    set_at: Mapped[datetime]
