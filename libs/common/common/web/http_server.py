"""The HTTP server of every process, and how it ends without losing a request."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web.http_protocol import BoundedHttp

__all__ = ["HttpServer", "http_server"]

FINISH_TERM = 35
"""Seconds that requests in flight get at the end: a little longer than any request takes."""


class HttpServer(uvicorn.Server):
    """uvicorn's server with an end of our own, so that whoever routes to us can look elsewhere first.

    At the first SIGTERM or SIGINT it drains: `/ready` is refused and every answer asks for the connection's end, for
    `drain_delay` seconds. Then it takes no more connections, lets requests in flight finish, and returns. A second
    signal ends the draining, a third SIGINT everything.
    """

    def __init__(self, config: uvicorn.Config, drain_delay: float) -> None:
        super().__init__(config)
        self._drain_delay = drain_delay
        self._draining = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain at the first signal, end at the second."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self._signalled, sign)
        try:
            yield
        finally:
            for sign in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(sign)

    def _signalled(self, sign: signal.Signals) -> None:
        if self._draining or not self.started or not self._drain_delay:
            self.handle_exit(sign, None)
            return
        self._draining = True
        self.config.encoded_headers.append((b"connection", b"close"))
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        asyncio.get_running_loop().call_later(self._drain_delay, self.handle_exit, sign, None)

    def door(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with a `/ready` that tells of the draining."""

        async def door(scope: Scope, receive: Receive, send: Send) -> None:
            if self._draining and scope.get("path") == "/ready":
                answer = JSONResponse({"ready": False, "checks": {"draining": False}}, status_code=503)
                await answer(scope, receive, send)
            else:
                await app(scope, receive, send)

        return door


def http_server(
    app: Any,
    *,
    host: str,
    port: int,
    drain_delay: float = 0.0,
    certificate: Path | None = None,
    key: Path | None = None,
    trusted_proxies: str | None = None,
) -> HttpServer:
    """Return the server that every process uses: no header about itself, keep-alive longer than the gateway's pool.

    With `certificate` and `key` (PEM) it speaks TLS. From `trusted_proxies` (addresses or networks, by commas) alone it
    believes what `X-Forwarded-For` says of the caller.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        server_header=False,
        date_header=True,
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        access_log=False,
        log_config=None,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=FINISH_TERM,
        http=getattr(app, "protocol", BoundedHttp),  # an app may bring along what is spoken at its port
        lifespan="on",
    )
    server = HttpServer(config, drain_delay)
    if drain_delay:
        config.app = server.door(app)
    return server
