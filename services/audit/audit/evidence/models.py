"""The record of evidence exports."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from audit.tables import Base
from common.storage.base import BigInt


class EvidenceExport(Base):
    """One package: person, purpose, scope, size of the log at its checkpoint, digest of the archive."""

    __tablename__ = "evidence_exports"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    exported_by: Mapped[str]
    purpose: Mapped[str]
    scope: Mapped[dict[str, Any]] = mapped_column(JSONB)
    size: Mapped[BigInt]
    records: Mapped[BigInt]
    complete: Mapped[bool]
    digest: Mapped[str]
    exported_at: Mapped[datetime]
