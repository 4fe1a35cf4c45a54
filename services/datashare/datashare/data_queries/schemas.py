"""Bodies of queries and checks."""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError

from datashare.schemas import FieldName, Purpose, ResourceCode

PlainText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]+$", min_length=1, max_length=200)]


@lru_cache(maxsize=1024)
def _code(text: str) -> str:
    """Return the normalised code. Raises `ValueError`."""
    try:
        return str(uscc.validate(text.upper()))
    except ValidationError:
        raise ValueError("not a unified social credit code") from None


class Subject(BaseModel):
    """The subject of the query: a unified social credit code, or an exact name."""

    model_config = ConfigDict(extra="forbid")

    uscc: Annotated[str, Field(max_length=18)] | None = None
    name: PlainText | None = None

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
    value: PlainText


class QueryRequest(BaseModel):
    """A query: of a resource or under one grant, for a purpose, in a case.

    A query names a subject or filters; a check need not. Without `fields`: all granted fields. The response holds up to
    `limit` records, and never more than the policy `query-page`; `cursor` is `next` of the previous response.
    """

    model_config = ConfigDict(extra="forbid")

    resource: ResourceCode | None = None
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
        decode_record_cursor(value)
        return value

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if self.resource is None and self.grant_id is None:
            raise ValueError("either resource or grant_id")
        return self


@dataclass(frozen=True, slots=True)
class QuotaLeft:
    """The rest of the grant's quota of the city's day."""

    calls: int
    rows: int
    subjects: int


class QueryResponse(BaseModel):
    """The records: granted fields only, masked as the resource defines. A probe gets no records."""

    verdict: Literal["allowed"] = "allowed"
    query_id: UUID | None = None
    grant_id: UUID | None = None
    fields: list[str] = []
    records: list[dict[str, str | None]] = []
    next: str | None = None
    quota_left: QuotaLeft | None = None


class CheckResponse(BaseModel):
    """The same query would be allowed now."""

    verdict: Literal["allowed"] = "allowed"
    grant_id: UUID
    fields: list[str]
    valid_until: datetime
    quota_left: QuotaLeft


def encode_record_cursor(record_id: int) -> str:
    """Return the cursor of the page after a record."""
    return base64.urlsafe_b64encode(record_id.to_bytes(8)).decode().rstrip("=")


def decode_record_cursor(cursor: str | None) -> int:
    """Return the record id of a cursor. Raises `ValueError`."""
    if cursor is None:
        return 0
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except binascii.Error:
        raise ValueError("the cursor is not valid") from None
    number = int.from_bytes(raw)
    if len(raw) != 8 or number >= 1 << 63:  # noqa: PLR2004 - a bigint
        raise ValueError("the cursor is not valid")
    return number
