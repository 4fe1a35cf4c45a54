"""Puts incident together."""

import httpx
from fastapi import FastAPI

from common.clock import Clock
from common.contracts.events.incident import AccessRefused
from common.messaging.bus import Bus
from common.web.application import create_service
from common.web.runtime import Runtime
from incident.breaches.endpoints import routes as breaches
from incident.handlers import handlers
from incident.lifting.endpoints import routes as lifting
from incident.notifier import Signal
from incident.orders.endpoints import routes as containment
from incident.probes.worker import probe_orders
from incident.settings import Settings

__all__ = ["create_app"]


def create_app(
    settings: Settings, bus: Bus, *, clock: Clock | None = None, probe_client: httpx.AsyncClient | None = None
) -> FastAPI:
    """Return the service; `probe_client` is how probes reach the gateway, by default over the network."""

    async def prepare(runtime: Runtime) -> None:
        runtime.parts["signal"] = Signal()
        if probe_client is not None:
            runtime.parts["probe_client"] = probe_client

    return create_service(
        "incident",
        settings=settings,
        bus=bus,
        routers=[breaches, containment, lifting],
        refused=AccessRefused,
        handlers=handlers,
        clock=clock,
        prepare=prepare,
        tasks=[probe_orders],
    )
