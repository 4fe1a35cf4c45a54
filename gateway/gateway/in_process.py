"""An upstream whose service runs in this process: the service's own ASGI app, called directly."""

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from common.web.request_state import request_state
from gateway.headers import forwardable_headers
from gateway.internal_request import OK, get
from gateway.problems import ServiceUnavailable

FORWARDED_KEYS = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "client",
    "server",
)
"""Keys of a request's scope that the service gets, beside the headers."""


class InProcessUpstream:
    """Calls the service's app with a scope of its own: the service authenticates every request itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._openapi: bytes | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app."""
        state = request_state(scope)
        forwarded = {key: scope[key] for key in FORWARDED_KEYS if key in scope}
        headers = forwardable_headers(scope["headers"], state.request_id, state.traceparent)
        await self._app({**forwarded, "headers": headers, "root_path": "", "state": {}}, receive, send)

    async def run(self) -> None:
        """Wait until cancelled: there is nothing to follow."""
        await asyncio.Event().wait()

    async def ready(self) -> bool:
        """Ask the app."""
        status, _ = await get(self._app, "/ready")
        return status == OK

    async def openapi(self) -> bytes:
        """Ask the app once."""
        if self._openapi is None:
            status, body = await get(self._app, "/openapi.json")
            if status != OK:
                raise ServiceUnavailable
            self._openapi = body
        return self._openapi
