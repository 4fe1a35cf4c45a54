"""Bodies of evidence exports."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.web.timestamps import Timestamp

Index = Annotated[int, Field(ge=0, lt=1 << 63)]
SearchTexts = Annotated[list[Annotated[str, Field(min_length=1, max_length=300)]], Field(max_length=100)]


class EvidenceScope(BaseModel):
    """The records from `from_index` to `to_index` (both included) that match every given member; by default the whole log.

    Without subjects, request ids and times the package claims to be complete, and a check of it also finds gaps.
    """

    model_config = ConfigDict(extra="forbid")

    from_index: Index | None = None
    to_index: Index | None = None
    subjects: SearchTexts = Field(default_factory=list)
    request_ids: SearchTexts = Field(default_factory=list)
    from_time: Timestamp | None = None
    to_time: Timestamp | None = None

    @property
    def selective(self) -> bool:
        """Whether it selects records within the range of indexes."""
        return bool(self.subjects or self.request_ids or self.from_time or self.to_time)


class EvidenceRequest(BaseModel):
    """Purpose and scope of an export."""

    model_config = ConfigDict(extra="forbid")

    purpose: Annotated[str, Field(min_length=4, max_length=500)]
    scope: EvidenceScope = Field(default_factory=EvidenceScope)


class EvidenceExportResponse(BaseModel):
    """One export; `digest` is the SHA-256 of the archive, `size` the number of leaves of its checkpoint."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    exported_by: str
    purpose: str
    scope: dict[str, Any]
    size: int
    records: int
    complete: bool
    digest: str
    exported_at: datetime
