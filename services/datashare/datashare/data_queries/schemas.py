"""Bodies of queries and checks."""

import base64
import binascii
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from datashare.openings.schemas import FieldName, Purpose
from datashare.resources.schemas import Code

__all__ = ["CheckAnswer", "Filter", "QueryAnswer", "QueryAsked", "QuotaLeft", "Subject", "cursor_of", "place_of"]

Plain = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=200)]


@lru_cache(maxsize=1024)
def _code(text: str) -> str:
    """Return the code in its one spelling. Raises `ValueError`."""
    try:
        return str(uscc.validate(text.upper()))
    except ValidationError:
        raise ValueError("not a unified social credit code") from None


class Subject(BaseModel):
    """Whom the query is about: the unified social credit code, or the exact name."""

    model_config = ConfigDict(extra="forbid")

    uscc: Annotated[str, Field(max_length=18)] | None = None
    name: Plain | None = None

    @field_validator("uscc")
    @classmethod
    def _valid(cls, value: str | None) -> str | None:
        return None if value is None else _code(value)

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.uscc is None) == (self.name is None):
            raise ValueError("either uscc or name")
        return self


class Filter(BaseModel):
    """A condition on a granted, unmasked field. `from` and `to` are for dates, both inclusive."""

    model_config = ConfigDict(extra="forbid")

    field: FieldName
    op: Literal["equals", "from", "to"] = "equals"
    value: Plain


class QueryAsked(BaseModel):
    """A query: of a resource or under one grant, for a purpose, in a case.

    It names a subject or filters, as checks need not. No `fields`: all that are granted. At most `limit` records come,
    and never more than the policy `query-page`; `cursor` is `next` of the answer before.
    """

    model_config = ConfigDict(extra="forbid")

    resource: Code | None = None
    grant_id: UUID | None = None
    purpose: Purpose
    case_number: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=2, max_length=80)]
    subject: Subject | None = None
    filters: Annotated[list[Filter], Field(max_length=5)] = []
    fields: Annotated[list[FieldName], Field(max_length=60)] = []
    limit: Annotated[int, Field(ge=1, le=1000)] = 20
    cursor: Annotated[str, Field(max_length=16)] | None = None

    @field_validator("cursor")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        place_of(value)
        return value

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.resource is None and self.grant_id is None:
            raise ValueError("either resource or grant_id")
        return self


class QuotaLeft(BaseModel):
    """What is left of the grant's quota of the city's day."""

    calls: int
    rows: int
    subjects: int


class QueryAnswer(BaseModel):
    """The records: granted fields only, masked as the resource says. A probe gets none, whatever there is."""

    verdict: Literal["allowed"] = "allowed"
    query_id: UUID | None = None
    grant_id: UUID | None = None
    fields: list[str] = []
    records: list[dict[str, str | None]] = []
    next: str | None = None
    quota_left: QuotaLeft | None = None


class CheckAnswer(BaseModel):
    """A query like this would be answered now."""

    verdict: Literal["allowed"] = "allowed"
    grant_id: UUID
    fields: list[str]
    valid_until: datetime
    quota_left: QuotaLeft


def cursor_of(record_id: int) -> str:
    """Return the opaque place after a record."""
    return base64.urlsafe_b64encode(record_id.to_bytes(8)).decode().rstrip("=")


def place_of(cursor: str | None) -> int:
    """Return the record id of a cursor. Raises `ValueError`."""
    if cursor is None:
        return 0
    try:
        place = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error:
        raise ValueError("the cursor is not valid") from None
    number = int.from_bytes(place)
    if len(place) != 8 or number >= 1 << 63:  # noqa: PLR2004 - a bigint
        raise ValueError("the cursor is not valid")
    return number
