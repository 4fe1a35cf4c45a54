"""The gateway's own GET requests to a service, through the ASGI interface."""

import asyncio

from starlette.types import ASGIApp, Message, Scope

from common.web.request_state import STATE_KEY, RequestState

OK = 200
TIMEOUT = 10.0
"""Seconds."""


async def get(app: ASGIApp, path: str) -> tuple[int, bytes]:
    """Return status and body of a page of the service. Raises the problems of the upstream."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"gateway")],
        "client": None,
        "server": None,
        "state": {STATE_KEY: RequestState.start({}, timeout=TIMEOUT, body_limit=0)},
    }
    status, body = 0, bytearray()
    requests = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        if request := next(requests, None):
            return request
        return await asyncio.Future[Message]()  # there is no client that could disconnect

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)
        body.extend(message.get("body", b""))

    await app(scope, receive, send)
    return status, bytes(body)
