"""Runs one member of the platform as a process: Kafka, an HTTP server, graceful shutdown."""

import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeVar

import asyncpg
import structlog
import uvloop
from fastapi import FastAPI
from starlette.types import ASGIApp

from common.backoff import Backoff
from common.log_config import configure_logging
from common.messaging.bus import BusUnavailable
from common.messaging.kafka import KafkaBus, kafka_bus
from common.messaging.topics import Topic
from common.settings import CommonSettings, ServiceSettings
from common.web.application import asyncpg_dsn
from common.web.http_server import http_server

log = structlog.get_logger()

S = TypeVar("S", bound=CommonSettings)


def serve(name: str, settings: S, create_app: Callable[[S, KafkaBus], ASGIApp], *, topics: Mapping[str, Topic]) -> None:
    """Serve `create_app(settings, bus)` until SIGTERM or SIGINT; the bus carries `topics`."""
    configure_logging(settings.log_level)
    uvloop.run(_serve(name, settings, create_app, kafka_bus(settings, name, topics)))


async def _serve(name: str, settings: S, create_app: Callable[[S, KafkaBus], ASGIApp], bus: KafkaBus) -> None:
    async with _started(name, bus):
        if isinstance(settings, ServiceSettings):
            await _wait_for_database(name, settings)
        app = create_app(settings, bus)
        if isinstance(app, FastAPI):
            app.openapi()  # built before the first request, which would otherwise block the loop with it
        server = http_server(
            app,
            host=settings.host,
            port=settings.port,
            drain_delay=settings.drain_delay,
            certificate=settings.tls_certificate,
            key=settings.tls_key,
            trusted_proxies=getattr(settings, "trusted_proxies", None),
        )
        gc.collect()
        gc.freeze()  # objects of the start-up live as long as the process: the collector can skip them
        await server.serve()


@contextlib.asynccontextmanager
async def _started(name: str, bus: KafkaBus) -> AsyncIterator[None]:
    backoff = Backoff(0.2, 3.0)
    while True:
        try:
            await bus.start()
            break
        except BusUnavailable as error:
            log.warning("process.bus_away", service=name, cause=type(error.__cause__).__name__)
        await backoff.wait()
    try:
        yield
    finally:
        await bus.stop()


async def _wait_for_database(name: str, settings: ServiceSettings) -> None:
    """Wait until the database accepts connections; do not fail if it starts later than this process."""
    backoff = Backoff(0.2, 3.0)
    while True:
        try:
            connection = await asyncpg.connect(
                asyncpg_dsn(settings.full_database_url()), ssl=settings.database_tls() or False, timeout=5
            )
            await connection.close()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("process.database_away", service=name, error=type(error).__name__)
        else:
            return
        await backoff.wait()
