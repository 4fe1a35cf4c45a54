"""Bodies of the opening endpoints."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

__all__ = ["FieldName", "OpeningView", "OpeningWanted", "Purpose", "Quota", "Reason"]

Purpose = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,49}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Reason = Annotated[str, Field(min_length=2, max_length=500)]
Ceiling = Annotated[int, Field(ge=1, le=10_000_000)]


class Quota(BaseModel):
    """What may be used per day of the city: calls, rows, distinct subjects."""

    model_config = ConfigDict(extra="forbid")

    calls: Ceiling
    rows: Ceiling
    subjects: Ceiling


class OpeningWanted(BaseModel):
    """What the authority opens. `reason` gives the basis of the decision."""

    model_config = ConfigDict(extra="forbid")

    fields: Annotated[list[FieldName], Field(min_length=1, max_length=60)]
    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=30)]
    unit_kinds: Annotated[
        list[Literal["agency", "public-service", "social-institution"]], Field(min_length=1, max_length=3)
    ]
    longest_term_days: Annotated[int, Field(ge=1, le=3650)]
    quota: Quota
    reason: Reason


class OpeningView(BaseModel):
    """A version of an opening; the newest one stands."""

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
