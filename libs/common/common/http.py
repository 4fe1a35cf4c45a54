"""HTTP as every process speaks it: bounded requests, request and trace ids, one transaction per request, problems as answers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Depends, Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import idempotency
from common.answers import pointer_step, problem_response
from common.begun import Begun, Ended
from common.context import ActContext, act
from common.door import BoundedHttp
from common.origin import HEADER as ORIGIN
from common.origin import OriginStamp
from common.problems import (
    Invalid,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    TooLarge,
    Unavailable,
    Unexpected,
)
from common.runtime import RuntimeDep

__all__ = [
    "BoundedRequest",
    "IfMatch",
    "IfMatchDep",
    "Requests",
    "Route",
    "SessionDep",
    "allow_file",
    "etag",
    "router",
]

log = structlog.get_logger()

DEEPEST = 32
"""Nesting of a JSON body."""
LONGEST_LENGTH = 18
"""Digits of a Content-Length that is worth reading as a number."""


# Requests


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


def allow_file(scope: Scope, *, most: int, within: float) -> None:
    """Let this request be a file of up to `most` bytes that takes up to `within` seconds, before anything of it is read."""
    scope["xindun.body_limit"] = most
    scope["xindun.term"].reschedule(asyncio.get_running_loop().time() + within)


class Route(APIRoute):
    """Reads bounded requests, and leaves the answer where the transaction can keep it with the act."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            response = await handler(BoundedRequest(request.scope, request.receive))
            request.scope["xindun.response"] = response
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
            claim = await idempotency.begin(session, request, idempotency_key, runtime.clock)
        yield session
        if claim:
            await idempotency.finish(session, claim, request.scope["xindun.response"])


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


class Requests:
    """Outermost ASGI layer: ids, bounds of body and time, one log line and one measurement per request, no defect shown.

    `doors` are served past `app`, by method and path (`common.direct`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        body_limit: int,
        timeout: float,
        stamp: OriginStamp | None = None,
        doors: Mapping[tuple[str, str], ASGIApp] | None = None,
    ) -> None:
        self._app, self._service, self._limit, self._timeout = app, service, body_limit, timeout
        self._stamp = stamp
        self._doors = doors or {}
        self.ended = Ended(service)
        self.protocol: Callable[..., asyncio.Protocol] = BoundedHttp
        """What a server speaks at the port of this app."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        begun: Begun = scope.get("xindun.begun") or Begun.now(headers)
        request_id = begun.request_id
        act(ActContext(requestid=request_id, traceparent=begun.traceparent))
        # A state of its own: what a caller within the process found out about its client proves nothing here.
        scope = {**scope, "state": {"request_id": request_id}}
        if self._stamp and ORIGIN in headers:
            address = self._stamp.address(headers[ORIGIN].decode("latin-1"), request_id)
            scope["client"] = (address, 0) if address else scope.get("client")
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(h for h in message.get("headers", []) if h[0].lower() != b"x-request-id"),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            async with asyncio.timeout(begun.at + self._timeout - time.perf_counter()) as term:
                scope["xindun.term"] = term
                app = self._doors.get((scope["method"], scope["path"]), self._app)
                await app(scope, self._bounded(scope, headers, receive), answer)
        except Problem as problem:
            await self._fail(problem, scope, receive, answer, status)
        except TimeoutError:
            log.warning("request.timeout", service=self._service, request_id=request_id)
            await self._fail(Unavailable("处理超时", "It took too long"), scope, receive, answer, status)
        except Exception as error:
            log.exception(
                "request.unexpected", service=self._service, request_id=request_id, error=type(error).__name__
            )
            await self._fail(Unexpected(), scope, receive, answer, status)
        finally:
            route = getattr(scope.get("route"), "path", None) or scope.get("xindun.route", "-")
            principal = scope["state"].get("principal")
            self.ended.note(begun, scope["method"], route, status, principal.subject if principal else None)

    async def _fail(self, problem: Problem, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        if status:
            return  # the answer had begun: the connection ends unfinished, which is how the client sees it
        await problem_response(Request(scope), problem)(scope, receive, send)

    def _bounded(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        declared = headers.get(b"content-length", b"0")
        received = 0

        async def bounded() -> Message:
            nonlocal received
            limit = scope.get("xindun.body_limit", self._limit)
            if declared.isdigit() and (len(declared) > LONGEST_LENGTH or int(declared) > limit):
                raise TooLarge(limit=limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge(limit=limit)
            return message

        return bounded
