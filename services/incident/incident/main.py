"""The application factory of incident."""

import httpx
from fastapi import FastAPI

from common.clock import Clock, SystemClock
from common.contracts.events.incident import AccessRefused
from common.messaging.bus import Bus
from common.web.application import create_service
from incident.breaches.endpoints import routes as breaches
from incident.handlers import handlers
from incident.lifting.endpoints import routes as lifting
from incident.orders.endpoints import routes as orders
from incident.probes.worker import probe_orders
from incident.runtime import Runtime
from incident.settings import Settings


def create_app(
    settings: Settings, bus: Bus, *, clock: Clock | None = None, gateway_client: httpx.AsyncClient | None = None
) -> FastAPI:
    """Return the service; `gateway_client` carries the probes, by default over the network."""
    return create_service(
        Runtime(settings, bus, clock or SystemClock(), gateway_client=gateway_client),
        routers=[breaches, orders, lifting],
        refused=AccessRefused,
        handlers=handlers,
        tasks=[probe_orders],
    )
