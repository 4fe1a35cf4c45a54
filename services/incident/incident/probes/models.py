"""The record of every probe of a containment order."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from incident.tables import Base


class Probe(Base):
    """One attempt, appended: the credential's subject, the grant, the answer, and whether it proves anything.

    `status` 0: no answer came; `reason` then says why.
    """

    __tablename__ = "probes"
    __table_args__ = (CheckConstraint("expectation IN ('refused', 'allowed')", name="expectation"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("containment_orders.id"), index=True)
    expectation: Mapped[str]
    subject: Mapped[str | None]
    grant_id: Mapped[UUID | None]
    status: Mapped[int]
    problem: Mapped[str | None]
    reason: Mapped[str | None]
    passed: Mapped[bool]
    milliseconds: Mapped[int]
    at: Mapped[datetime]
