"""The containment orders that identity knows."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Containment(Base):
    """One order. `cutoff_id` and `epoch_before` only where identity carried it out on a subject that it knows."""

    __tablename__ = "containments"

    order_id: Mapped[UUID] = mapped_column(primary_key=True)
    executor: Mapped[str]
    target_kind: Mapped[str]
    target_id: Mapped[UUID]
    ordered_at: Mapped[datetime]
    cutoff_id: Mapped[UUID | None] = mapped_column(ForeignKey("cutoffs.id"), default=None)
    epoch_before: Mapped[int | None] = mapped_column(default=None)
    confirmed_at: Mapped[datetime | None] = mapped_column(default=None)
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
