"""Bodies of evidence exports."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from audit.evidence.models import EvidenceExport
from common.web.timestamps import Timestamp

__all__ = ["EvidenceRequest", "ExportView", "Scope"]

Index = Annotated[int, Field(ge=0, lt=1 << 63)]
Words = Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=100)]


class Scope(BaseModel):
    """Which records: all of those from `from_index` to `to_index` (both included) that match what is given.

    By default the whole log so far. Without subjects, request ids and times the package claims to be complete, and
    whoever checks it also finds what is missing.
    """

    model_config = ConfigDict(extra="forbid")

    from_index: Index | None = None
    to_index: Index | None = None
    subjects: Words = Field(default_factory=list)
    request_ids: Words = Field(default_factory=list)
    from_time: Timestamp | None = None
    to_time: Timestamp | None = None

    @property
    def selective(self) -> bool:
        """Whether it picks records out of the range of indexes."""
        return bool(self.subjects or self.request_ids or self.from_time or self.to_time)


class EvidenceRequest(BaseModel):
    """What evidence is taken for, and of what."""

    model_config = ConfigDict(extra="forbid")

    purpose: Annotated[str, Field(min_length=4, max_length=500)]
    scope: Scope = Field(default_factory=Scope)


class ExportView(BaseModel):
    """One export; `digest` is the SHA-256 of the archive, `size` the number of leaves of the log it stands on."""

    id: UUID
    exported_by: str
    purpose: str
    scope: dict[str, Any]
    size: int
    records: int
    complete: bool
    digest: str
    exported_at: datetime

    @classmethod
    def of(cls, row: EvidenceExport) -> "ExportView":
        """Build it from a row."""
        return cls(**{name: getattr(row, name) for name in cls.model_fields})
