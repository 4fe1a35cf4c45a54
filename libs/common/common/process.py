"""Runs one service as its own process: Kafka, one HTTP server, an end in good order."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
import uvloop
from fastapi import FastAPI

from common.bus import Bus, BusUnavailable
from common.bus.kafka import KafkaBus
from common.logging import configure_logging
from common.server import http_server
from common.settings import CommonSettings

__all__ = ["serve"]

log = structlog.get_logger()


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
