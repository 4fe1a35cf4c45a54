"""Usage of grants: counters of the day, the subjects counted, and the queries answered."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from datashare.tables import Base


class Usage(Base):
    """Usage of a grant on one day of the city."""

    __tablename__ = "usage"

    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    calls: Mapped[int]
    rows: Mapped[int]
    subjects: Mapped[int]


class UsageSubject(Base):
    """A subject that counted on a day: `mark` is the SHA-256 of its code, or of the name that was not found."""

    __tablename__ = "usage_subjects"

    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    mark: Mapped[bytes] = mapped_column(primary_key=True)


class QueryFact(Base):
    """One query that was answered, without its records."""

    __tablename__ = "queries"
    __table_args__ = (Index(None, "principal", "grant_id", "day"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grants.id"))
    principal: Mapped[str]
    purpose: Mapped[str]
    case_number: Mapped[str]
    fields: Mapped[list[str]] = mapped_column(ARRAY(Text))
    mark: Mapped[bytes | None]
    rows: Mapped[int]
    origin: Mapped[str]
    day: Mapped[date]
    at: Mapped[datetime]
