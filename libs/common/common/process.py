"""Runs one service as its own process: Kafka, one HTTP server, an end in good order."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from common.bus import Bus, BusUnavailable
from common.bus.kafka import KafkaBus
from common.logging import configure_logging
from common.settings import CommonSettings

__all__ = ["HttpServer", "http_server", "serve"]

log = structlog.get_logger()


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


def serve(name: str, settings: CommonSettings, create_app: Callable[[Any, Bus], FastAPI]) -> None:
    """Serve `create_app(settings, bus)` until SIGTERM or SIGINT."""
    configure_logging(settings.log_level)
    uvloop.run(_serve(name, settings, create_app))


async def _serve(name: str, settings: CommonSettings, create_app: Callable[[Any, Bus], FastAPI]) -> None:
    if not settings.kafka_bootstrap:
        raise SystemExit("XINDUN_KAFKA_BOOTSTRAP is not set")
    bus = KafkaBus(settings.kafka_bootstrap, client_id=f"{name}-{settings.instance}")
    wait = 0.2
    while True:
        try:
            await bus.start()
            break
        except BusUnavailable:
            log.warning("process.bus_away", service=name)
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5.0)
    try:
        await http_server(create_app(settings, bus), host=settings.host, port=settings.port).serve()
    finally:
        await bus.stop()
