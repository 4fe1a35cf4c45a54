"""Versions of policies."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from common.storage.base import BigInt
from identity.tables import Base


class PolicyRow(Base):
    """One version, in force until the next one's `effective_from`; appended, never changed."""

    __tablename__ = "policy_versions"

    name: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[BigInt]
    effective_from: Mapped[datetime]
    basis: Mapped[str]
    set_by: Mapped[str]
    set_at: Mapped[datetime]
