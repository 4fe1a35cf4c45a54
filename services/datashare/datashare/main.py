"""Wires datashare: settings and a bus in, an app out."""

from fastapi import FastAPI

from common.clock import Clock, SystemClock
from common.contracts.events.datashare import AccessRefused
from common.messaging.bus import Bus
from common.web.application import create_service
from datashare.agreements.endpoints import routes as agreements
from datashare.applications.endpoints import routes as applications
from datashare.data_queries.endpoints import routes as queries
from datashare.data_rules.endpoints import routes as data_rules
from datashare.grants.endpoints import routes as grants
from datashare.handlers import handlers
from datashare.openings.endpoints import routes as openings
from datashare.resources.endpoints import routes as resources
from datashare.runtime import Runtime
from datashare.settings import Settings

ROUTERS = (queries, resources, openings, data_rules, applications, agreements, grants)


def create_app(settings: Settings, bus: Bus, *, clock: Clock | None = None) -> FastAPI:
    """Return datashare's app."""
    runtime = Runtime(settings, bus, clock or SystemClock())
    return create_service(runtime, routers=ROUTERS, refused=AccessRefused, handlers=handlers)
