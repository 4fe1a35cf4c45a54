"""Lists by cursor: the query parameters of a page, and its body."""

from collections.abc import Callable
from typing import Annotated, Generic, Self, TypeVar

from fastapi import Depends, Query
from pydantic import BaseModel

from common.storage.pagination import PageRequest, Slice

T = TypeVar("T")
R = TypeVar("R")


class Page(BaseModel, Generic[T]):
    """One page; `next` is the cursor of the following one, absent on the last."""

    items: list[T]
    next: str | None = None

    @classmethod
    def of(cls, rows: Slice[R], item: Callable[[R], T]) -> Self:
        """Build the page from a slice of rows."""
        return cls(items=[item(row) for row in rows.rows], next=rows.next_cursor)


async def page_request(
    limit: Annotated[int, Query(ge=1, le=100, description="rows of the page")] = 50,
    cursor: Annotated[str | None, Query(max_length=64, description="`next` of the page before")] = None,
) -> PageRequest:
    """Return how much of a list a request asks for. Raises `Invalid` for an unreadable cursor."""
    return PageRequest.parse(limit, cursor)


PageDep = Annotated[PageRequest, Depends(page_request)]
"""How much of a list a request asks for."""
