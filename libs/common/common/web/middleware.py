"""The outermost ASGI middleware: request ids, limits on body and time, one access-log line per request."""

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.context import ActContext, set_context
from common.problems import (
    Problem,
    TooLarge,
    Unavailable,
    Unexpected,
)
from common.web.access_log import Begun, Ended
from common.web.client_address import CLIENT_ADDRESS_HEADER as ORIGIN
from common.web.client_address import ClientAddressStamp
from common.web.exception_handlers import problem_response
from common.web.http_protocol import BoundedHttp

__all__ = ["Requests", "allow_file"]

log = structlog.get_logger()

LONGEST_LENGTH = 18
"""Digits of a Content-Length that is worth reading as a number."""


def allow_file(scope: Scope, *, most: int, within: float) -> None:
    """Let this request be a file of up to `most` bytes that takes up to `within` seconds, before anything of it is read."""
    scope["xindun.body_limit"] = most
    scope["xindun.term"].reschedule(asyncio.get_running_loop().time() + within)


class Requests:
    """Outermost ASGI layer: ids, bounds of body and time, one log line and one measurement per request, no defect shown.

    `doors` are served past `app`, by method and path (`common.web.fast_routes`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        body_limit: int,
        timeout: float,
        stamp: ClientAddressStamp | None = None,
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
        set_context(ActContext(requestid=request_id, traceparent=begun.traceparent))
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
