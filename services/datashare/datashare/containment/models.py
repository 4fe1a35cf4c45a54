"""The containment orders that concern grants."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, Index, Text, Uuid, text
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base

__all__ = ["Containment"]


class Containment(Base):
    """One order; until it is lifted, it concerns grants that begin later too."""

    __tablename__ = "containments"
    __table_args__ = (Index("containments_target_id_idx", "target_id", postgresql_where=text("lifted_at IS NULL")),)

    order_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    target_kind: Mapped[str] = mapped_column(Text)
    target_id: Mapped[UUID] = mapped_column(Uuid)
    applied_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    lifted_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)
