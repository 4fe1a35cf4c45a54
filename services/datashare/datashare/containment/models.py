"""Containment orders on grants."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base


class Containment(Base):
    """One order; until it is lifted, it also suspends grants that begin later."""

    __tablename__ = "containments"
    __table_args__ = (Index("containments_target_id_idx", "target_id", postgresql_where=text("lifted_at IS NULL")),)

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    target_kind: Mapped[str]
    target_id: Mapped[UUID]
    applied_at: Mapped[datetime]
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
