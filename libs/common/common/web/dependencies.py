"""FastAPI dependencies and routes of every service: bounded JSON, the transaction of a request, If-Match."""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import (
    Invalid,
    PreconditionFailed,
    PreconditionRequired,
)
from common.web import idempotency
from common.web.exception_handlers import pointer_step
from common.web.request_state import request_state
from common.web.runtime import RuntimeDep

__all__ = ["BoundedRequest", "IfMatch", "IfMatchDep", "Route", "SessionDep", "etag", "router"]

DEEPEST = 32
"""Nesting of a JSON body."""


class BoundedRequest(Request):
    """A request whose JSON is bounded in depth and holds nothing that the database cannot store."""

    async def json(self) -> Any:
        """Return the body. Raises `json.JSONDecodeError`, which becomes a 422, and `Invalid`."""
        value = orjson.loads(await self.body())
        level = [("#", value)]
        for _ in range(DEEPEST):
            level = [inner for pointer, item in level for inner in _inside(pointer, item)]
            if not level:
                return value
        raise _unfit("#", "too_deep", f"嵌套不得超过 {DEEPEST} 层", f"Nested deeper than {DEEPEST}")


def _inside(pointer: str, item: Any) -> Iterator[tuple[str, Any]]:
    """Give the objects and lists in `item`, with their JSON pointers. Raises `Invalid` on text with NUL."""
    if isinstance(item, dict):
        for name, member in item.items():
            if "\0" in name or (isinstance(member, str) and "\0" in member):
                raise _unfit(f"{pointer}/{pointer_step(name)}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{pointer_step(name)}", member
    elif isinstance(item, list):
        for index, member in enumerate(item):
            if isinstance(member, str) and "\0" in member:
                raise _unfit(f"{pointer}/{index}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{index}", member


def _unfit(pointer: str, type_: str, zh: str, en: str) -> Invalid:
    return Invalid(zh, en, errors=[{"in": "body", "type": type_, "pointer": pointer}])


class Route(APIRoute):
    """Reads bounded requests, and leaves the answer where the transaction can keep it with the act."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            response = await handler(BoundedRequest(request.scope, request.receive))
            request_state(request.scope).response = response
            return response

        return bounded


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router of a capability."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Route)


async def _session(
    request: Request,
    runtime: RuntimeDep,
    idempotency_key: Annotated[str | None, Header(description="Makes a write repeatable, for 7 days")] = None,
) -> AsyncIterator[AsyncSession]:
    async with runtime.database.transaction() as session:
        claim = None
        if idempotency_key is not None and request.method not in ("GET", "HEAD"):
            if len(request.headers.getlist("idempotency-key")) > 1:
                raise Invalid("Idempotency-Key 只能有一个", "There can be only one Idempotency-Key")
            claim = await idempotency.claim(session, request, idempotency_key, runtime.clock)
        yield session
        response = request_state(request.scope).response
        if claim and response:
            await idempotency.store(session, claim, response)


SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""The request's transaction: returning commits before the answer leaves, raising rolls back. Declare it after the permission."""


def etag(version: int) -> dict[str, str]:
    """Return the header that names a version of a thing."""
    return {"ETag": f'"{version}"'}


class IfMatch:
    """The version that an edit says it edits."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def check(self, version: int) -> None:
        """Raise `PreconditionRequired` without the header, `PreconditionFailed` when it names another version."""
        if self._header is None:
            raise PreconditionRequired(current=version)
        if self._header.strip() != f'"{version}"':
            raise PreconditionFailed(headers=etag(version))


async def _if_match(
    if_match: Annotated[str | None, Header(description='ETag of what was read, like "3"')] = None,
) -> IfMatch:
    return IfMatch(if_match)


IfMatchDep = Annotated[IfMatch, Depends(_if_match)]
"""The version that a request says it edits; a plain class as a dependency would cost a thread hop."""
