"""Members that the bodies of several capabilities share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ResourceCode = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,62}$")]
Purpose = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,49}$")]
FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Reason = Annotated[str, Field(min_length=2, max_length=500)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hex."""
QuotaLimit = Annotated[int, Field(ge=1, le=10_000_000)]


class Quota(BaseModel):
    """Limits per day of the city: calls, rows, distinct subjects."""

    model_config = ConfigDict(extra="forbid")

    calls: QuotaLimit
    rows: QuotaLimit
    subjects: QuotaLimit


class ReasonRequest(BaseModel):
    """The reason of a step."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
