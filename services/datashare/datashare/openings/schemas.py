"""Bodies of the endpoints of openings."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from datashare.schemas import FieldName, Purpose, Quota, Reason


class OpeningRequest(BaseModel):
    """An opening to set. `reason` gives the basis of the decision."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=60)]
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=30)]
    unit_kinds: Annotated[
        list[Literal["agency", "public-service", "social-institution"]], Field(min_length=1, max_length=3)
    ]
    longest_term_days: Annotated[int, Field(ge=1, le=3650)]
    quota: Quota
    reason: Reason


class OpeningResponse(BaseModel):
    """A version of an opening; the newest one is in effect."""

    id: UUID
    resource: str
    version: int
    fields: list[str]
    purposes: list[str]
    unit_kinds: list[str]
    longest_term_days: int
    quota: Quota
    withdrawn: bool
    reason: str
    set_at: datetime
