"""One suspension."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Suspension(Base):
    """Why one subject is suspended; of one cause at most one is open."""

    __tablename__ = "suspensions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    cause: Mapped[str]
    reason: Mapped[str]
    begun_at: Mapped[datetime]
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"), default=None)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    system_id: Mapped[UUID | None] = mapped_column(ForeignKey("systems.id"), default=None)
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
