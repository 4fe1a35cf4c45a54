"""Lists by cursor: a page, and an opaque place from which the next one goes on."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel

from common.problems import Invalid

__all__ = ["Page", "PageDep", "PageRequest"]

T = TypeVar("T")
R = TypeVar("R")


class Page(BaseModel, Generic[T]):
    """One page; `next` is the cursor of the following one, absent on the last."""

    items: list[T]
    next: str | None = None


class PageRequest:
    """How much of a list is asked for: `limit` rows after the one that `cursor` names. Ids sort by time, newest last."""

    def __init__(self, limit: int, cursor: str | None) -> None:
        self.limit = limit
        self.after: UUID | None = None
        if cursor is not None:
            try:
                self.after = UUID(bytes=base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
            except (ValueError, binascii.Error):
                raise Invalid("cursor 无效", "The cursor is not valid", parameter="cursor") from None

    def page(self, rows: Sequence[R], item: Callable[[R], T], id_of: Callable[[R], UUID]) -> Page[T]:
        """Build the page from up to `limit + 1` rows: the one too many only says that there is more."""
        shown = rows[: self.limit]
        more = len(rows) > self.limit
        following = base64.urlsafe_b64encode(id_of(shown[-1]).bytes).decode().rstrip("=") if more else None
        return Page(items=[item(row) for row in shown], next=following)


async def _page_request(
    limit: Annotated[int, Query(ge=1, le=100, description="rows of the page")] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before")] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


PageDep = Annotated[PageRequest, Depends(_page_request)]
"""How much of a list a request asks for."""
