"""The platform within the test's own process: real databases, the real gateway, no socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from common.clock import Clock
from common.contracts.services import SERVICES
from common.contracts.topics import TOPICS
from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging.in_process import InProcessBus
from deploy.embedded_platform import Secrets, build_services
from gateway.in_process import InProcessUpstream
from gateway.main import create_app
from gateway.settings import Settings
from tests.harness.client import asgi_client
from tests.harness.databases import Databases
from tests.harness.events import PUBLISHED, select_events

BASE = "http://platform"
SETTLED_WITHIN = 20


@dataclass
class InProcessPlatform:
    """`client` speaks to the gateway; `direct` to a service itself, past the gateway."""

    apps: dict[str, FastAPI]
    gateway: ASGIApp
    client: httpx.AsyncClient
    direct: dict[str, httpx.AsyncClient]
    bus: InProcessBus
    secrets: Secrets
    admins: dict[str, asyncpg.Connection]
    """Connections of the superuser into each service's database."""

    @property
    def points(self) -> list[EnforcementPoint]:
        return [self.gateway.app.point, *(app.state.runtime.point for app in self.apps.values())]

    def client_at(self, address: str) -> contextlib.AbstractAsyncContextManager[httpx.AsyncClient]:
        """A client of the gateway at another network address."""
        return asgi_client(self.gateway, address)

    async def awake(self) -> None:
        """Return when every point may decide: after the test itself has held the loop up, they know themselves stale."""
        async with asyncio.timeout(SETTLED_WITHIN):
            for point in self.points:
                while not await point.until(point.fresh, 0.1):
                    continue

    async def settle(self) -> None:
        """Return when no outbox holds anything unpublished and no inbox anything that waits.

        The relays publish meanwhile; this looks, and waits for what the bus carries.
        """
        async with asyncio.timeout(SETTLED_WITHIN):
            while any([await self._busy(service) for service in SERVICES]):
                if carrying := set(self.bus._publications):
                    await asyncio.wait(carrying)

    async def _busy(self, service: str) -> bool:
        query = "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)"
        if self.apps[service].state.runtime.inbox:
            query += " OR EXISTS (SELECT FROM inbox WHERE status = 'waiting')"
        busy: bool = await self.admins[service].fetchval(query)
        return busy

    async def events(self, service: str, name: str, **members: Any) -> list[dict[str, Any]]:
        """Return the envelopes of a service's events under a name, such as `access.refused`, oldest first."""
        rows = await self.admins[service].fetch(PUBLISHED)
        return select_events([row["body"] for row in rows], service, name, **members)


@contextlib.asynccontextmanager
async def running_platform(databases: Databases, clock: Clock | None = None) -> AsyncIterator[InProcessPlatform]:
    """Start everything on fresh copies of the databases; stop it and drop them at the end."""
    copies = {service: await databases.copy(service) for service in SERVICES}
    known = Secrets.generate()
    bus = InProcessBus(TOPICS)
    later: dict[str, ASGIApp] = {}

    async def to_gateway(scope, receive, send) -> None:
        await later["gateway"](scope, receive, send)

    async with contextlib.AsyncExitStack() as ends:
        ends.push_async_callback(databases.drop, list(copies.values()))
        admins = {}
        for service, copy in copies.items():
            admins[service] = await asyncpg.connect(copy.admin_dsn)
            ends.push_async_callback(admins[service].close)
        gateway_client = await ends.enter_async_context(asgi_client(to_gateway))
        urls = {service: copy.app for service, copy in copies.items()}
        apps = build_services(known, urls, bus, BASE, clock=clock, gateway_client=gateway_client)
        ends.push_async_callback(bus.stop)
        for app in apps.values():
            await ends.enter_async_context(app.router.lifespan_context(app))
        await bus.start()
        gateway = later["gateway"] = create_app(
            Settings(), bus, {name: InProcessUpstream(app) for name, app in apps.items()}, clock=clock
        )
        await ends.enter_async_context(_lifespan(gateway))
        client = await ends.enter_async_context(asgi_client(gateway))
        direct = {name: await ends.enter_async_context(asgi_client(app)) for name, app in apps.items()}
        platform = InProcessPlatform(apps, gateway, client, direct, bus, known, admins)
        for point in platform.points:
            await point.loaded()
            # Identity's key and its first heartbeat come by the outbox.
            assert await point.until(
                lambda point=point: point.keys.jwks()["keys"] and point._revoker_seen_at is not None, 10
            )
        yield platform


@contextlib.asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run an ASGI app's lifespan, as a server does."""
    inbound: asyncio.Queue[dict] = asyncio.Queue()
    outbound: asyncio.Queue[dict] = asyncio.Queue()
    task = asyncio.create_task(
        app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, inbound.get, outbound.put)
    )
    await inbound.put({"type": "lifespan.startup"})
    assert (await outbound.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbound.put({"type": "lifespan.shutdown"})
        await outbound.get()
        await task
