"""The HTTP server of every process, and its graceful shutdown."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web.http_protocol import LimitedHttpProtocol

SHUTDOWN_TIMEOUT = 35
"""Seconds for requests in flight at shutdown: a little longer than the request timeout."""


class HttpServer(uvicorn.Server):
    """uvicorn's server, which drains before it stops so that load balancers choose another replica first.

    At the first SIGTERM or SIGINT it drains for `drain_delay` seconds: `/ready` returns 503 and every response carries
    `Connection: close`. Then it accepts no more connections, finishes requests in flight, and returns. A second signal
    ends the draining, a third SIGINT the process.
    """

    def __init__(self, config: uvicorn.Config, drain_delay: float) -> None:
        super().__init__(config)
        self._drain_delay = drain_delay
        self._draining = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Drain at the first signal, stop at the second."""
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

    def with_drain_status(self, app: ASGIApp) -> ASGIApp:
        """Return `app` with a `/ready` that returns 503 while the server drains."""

        async def drain_aware(scope: Scope, receive: Receive, send: Send) -> None:
            if self._draining and scope.get("path") == "/ready":
                response = JSONResponse({"ready": False, "checks": {"draining": False}}, status_code=503)
                await response(scope, receive, send)
            else:
                await app(scope, receive, send)

        return drain_aware


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
    """Return the server that every process uses: no `Server` header, keep-alive longer than that of the gateway's pool.

    With `certificate` and `key` (PEM) it speaks TLS. It accepts `X-Forwarded-For` from `trusted_proxies` alone
    (addresses or networks, separated by commas).
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
        timeout_graceful_shutdown=SHUTDOWN_TIMEOUT,
        http=LimitedHttpProtocol,
        lifespan="on",
    )
    server = HttpServer(config, drain_delay)
    if drain_delay:
        config.app = server.with_drain_status(app)
    return server
