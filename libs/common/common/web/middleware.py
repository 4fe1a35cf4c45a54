"""The outermost ASGI middleware: request state, limits on body and time, one access-log line per request."""

import asyncio
from collections.abc import Mapping

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
from common.web.access_log import AccessLog
from common.web.client_address import CLIENT_ADDRESS_HEADER, ClientAddressStamp
from common.web.exception_handlers import problem_response
from common.web.request_deadlines import RequestDeadlines
from common.web.request_state import STATE_KEY, RequestState

log = structlog.get_logger()

MAX_LENGTH_DIGITS = 18
"""A longer Content-Length is over every limit."""


class RequestMiddleware:
    """Outermost ASGI middleware: request state, limits of body and time, access log, and a problem for every failure.

    `fast_routes` are served without `app`, by method and path (`common.web.fast_routes`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        service: str,
        body_limit: int,
        timeout: float,
        stamp: ClientAddressStamp | None = None,
        fast_routes: Mapping[tuple[str, str], ASGIApp] | None = None,
    ) -> None:
        self.app, self._service, self._body_limit, self._timeout = app, service, body_limit, timeout
        self._stamp = stamp
        self._fast_routes = fast_routes or {}
        self._access_log = AccessLog(service)
        self._deadlines = RequestDeadlines()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        state = RequestState.start(headers, timeout=self._timeout, body_limit=self._body_limit)
        set_context(ActContext(requestid=state.request_id, traceparent=state.traceparent))
        # A scope of our own: an in-process caller must not pass on an authenticated principal.
        scope = {**scope, "state": {STATE_KEY: state}}
        if self._stamp and CLIENT_ADDRESS_HEADER in headers:
            address = self._stamp.address(headers[CLIENT_ADDRESS_HEADER].decode("latin-1"), state.request_id)
            scope["client"] = (address, 0) if address else scope.get("client")
        status = 0

        async def respond(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                others = [header for header in message.get("headers", ()) if header[0] != b"x-request-id"]
                message["headers"] = [*others, (b"x-request-id", state.request_id.encode())]
            await send(message)

        app = self._fast_routes.get((scope["method"], scope["path"]), self.app)
        timed_out = False
        try:
            self._deadlines.add(state)
            try:
                await app(scope, _limited(receive, state, headers), respond)
            finally:
                timed_out = self._deadlines.remove(state)
        except Problem as problem:
            await _fail(problem, scope, receive, respond, status)
        except (TimeoutError, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and not timed_out:
                raise
            log.warning("request.timeout", service=self._service, request_id=state.request_id)
            await _fail(Unavailable("处理超时", "It took too long"), scope, receive, respond, status)
        except Exception as error:
            log.exception(
                "request.unexpected", service=self._service, request_id=state.request_id, error=type(error).__name__
            )
            await _fail(Unexpected(), scope, receive, respond, status)
        finally:
            route = getattr(scope.get("route"), "path", None) or state.route or "-"
            self._access_log.record(state, scope["method"], route, status)


async def _fail(problem: Problem, scope: Scope, receive: Receive, send: Send, status: int) -> None:
    if status:
        return  # the response has started: the connection ends before the response does, and the client sees that
    await problem_response(Request(scope), problem)(scope, receive, send)


def _limited(receive: Receive, state: RequestState, headers: Mapping[bytes, bytes]) -> Receive:
    """Return `receive` with the body limit of the request. It raises `TooLarge`."""
    declared = headers.get(b"content-length", b"0")
    received = 0

    async def limited() -> Message:
        nonlocal received
        limit = state.body_limit
        if declared.isdigit() and (len(declared) > MAX_LENGTH_DIGITS or int(declared) > limit):
            raise TooLarge(limit=limit)
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise TooLarge(limit=limit)
        return message

    return limited
