"""Bodies of the endpoints of data-security rules."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datashare.schemas import Digest


class DataRulesRequest(BaseModel):
    """The rules themselves, or the SHA-256 (hex) of a document that the unit keeps."""

    model_config = ConfigDict(extra="forbid")

    title: Annotated[str, Field(min_length=2, max_length=200)]
    text: Annotated[str, Field(min_length=20, max_length=200_000)] | None = None
    digest: Digest | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.digest is None):
            raise ValueError("either text or digest")
        return self


class DataRulesResponse(BaseModel):
    """A filing; `current`: whether it is valid now."""

    id: UUID
    unit_id: UUID
    title: str
    digest: str
    filed_at: datetime
    valid_until: datetime
    current: bool
