"""The HTTP server of every process."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator
from typing import Any

import uvicorn

__all__ = ["HttpServer", "http_server"]


class HttpServer(uvicorn.Server):
    """uvicorn's server that leaves ending to us: it stops at SIGTERM or SIGINT and returns, so that the rest can end too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Ask for an end at the first signal, insist at the second."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.handle_exit, sign, None)
        try:
            yield
        finally:
            for sign in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(sign)


def http_server(app: Any, *, host: str, port: int) -> HttpServer:
    """Return the server that every process uses: no header about itself, keep-alive longer than the gateway's pool."""
    return HttpServer(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            access_log=False,
            log_config=None,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=10,
            h11_max_incomplete_event_size=32_768,
            lifespan="on",
        )
    )
