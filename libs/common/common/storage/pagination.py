"""Keyset pagination: a slice of rows ordered by id, and the cursor after which the next slice begins."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from common.problems import Invalid

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which part of a list is asked for: up to `limit` rows after the id `after`."""

    limit: int
    after: UUID | None = None

    @classmethod
    def parse(cls, limit: int, cursor: str | None) -> "PageRequest":
        """Read a cursor as `Slice.next_cursor` wrote it. Raises `Invalid`."""
        if cursor is None:
            return cls(limit)
        try:
            return cls(limit, UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))))
        except (ValueError, binascii.Error):
            raise Invalid("cursor 无效", "The cursor is not valid", parameter="cursor") from None


@dataclass(frozen=True, slots=True)
class Slice(Generic[R]):
    """Rows of one page; `next_cursor` is None on the last."""

    rows: Sequence[R]
    next_cursor: str | None


async def paginate(
    session: AsyncSession, query: Select[*tuple[Any, ...]], id_column: InstrumentedAttribute[UUID], page: PageRequest
) -> Slice[Any]:
    """Run `query` for one page, ordered by `id_column`: ids are UUIDv7, so the oldest comes first.

    A query for one entity gives its objects, one for several gives rows, of which the id's entity is the first.
    """
    if page.after is not None:
        query = query.where(id_column > page.after)
    result = await session.execute(query.order_by(id_column).limit(page.limit + 1))
    several = len(query.column_descriptions) > 1
    rows: Sequence[Any] = result.all() if several else result.scalars().all()
    if len(rows) <= page.limit:
        return Slice(rows, None)
    last = rows[page.limit - 1]
    last_id: UUID = getattr(last[0] if several else last, id_column.key)
    return Slice(rows[: page.limit], encode_cursor(last_id))


def encode_cursor(last_id: UUID) -> str:
    """Return the cursor of the page that begins after `last_id`."""
    return base64.urlsafe_b64encode(last_id.bytes).decode().rstrip("=")
