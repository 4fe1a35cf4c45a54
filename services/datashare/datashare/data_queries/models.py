"""What was used: counters of the day, the subjects counted, and the facts of the queries."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Date, DateTime, ForeignKey, Index, Integer, LargeBinary, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base

__all__ = ["QueryFact", "Usage", "UsageSubject"]


class Usage(Base):
    """What of a grant's quota of one day of the city is used."""

    __tablename__ = "usage"

    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    calls: Mapped[int] = mapped_column(Integer)
    rows: Mapped[int] = mapped_column(Integer)
    subjects: Mapped[int] = mapped_column(Integer)


class UsageSubject(Base):
    """A subject that counted on a day: `mark` is the SHA-256 of its code, or of the name that was not found."""

    __tablename__ = "usage_subjects"

    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    mark: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class QueryFact(Base):
    """One query that was answered; never its content."""

    __tablename__ = "queries"
    __table_args__ = (Index(None, "principal", "grant_id", "day"),)

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"))
    principal: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(Text)
    case_number: Mapped[str] = mapped_column(Text)
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    mark: Mapped[bytes | None] = mapped_column(LargeBinary)
    rows: Mapped[int] = mapped_column(Integer)
    origin: Mapped[str] = mapped_column(Text)
    day: Mapped[date] = mapped_column(Date)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
