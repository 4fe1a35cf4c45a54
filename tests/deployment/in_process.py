"""The platform within the test's own process: real databases, the real gateway, no socket."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
from fastapi import FastAPI
from starlette.types import ASGIApp

from common.bus.in_process import InProcessBus
from common.clock import Clock
from common.outbox import Relay
from gateway.all_in_one import Secrets, build_services
from gateway.main import create_app
from gateway.routes import SERVICES
from gateway.settings import Settings
from tests.deployment.databases import Databases

BASE = "http://platform"


@dataclass
class InProcessPlatform:
    """`client` speaks to the gateway; `direct` to a service itself, past the gateway."""

    apps: dict[str, FastAPI]
    gateway: ASGIApp
    client: httpx.AsyncClient
    direct: dict[str, httpx.AsyncClient]
    bus: InProcessBus
    secrets: Secrets
    urls: dict[str, str]
    admin_dsns: dict[str, str]

    def relay(self, service: str) -> Relay:
        relay: Relay = self.apps[service].state.runtime.parts["relay"]
        return relay


def _client(app: ASGIApp, origin: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(origin, 40000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=BASE, timeout=30)


@contextlib.asynccontextmanager
async def running_platform(databases: Databases, clock: Clock | None = None) -> AsyncIterator[InProcessPlatform]:
    """Start everything on fresh copies of the databases; stop it and drop them at the end."""
    copies = {service: await databases.copy(service) for service in SERVICES}
    known = Secrets.generate()
    bus = InProcessBus()
    later: dict[str, ASGIApp] = {}

    async def door(scope, receive, send) -> None:
        await later["gateway"](scope, receive, send)

    async with contextlib.AsyncExitStack() as ends:
        ends.push_async_callback(databases.drop, list(copies.values()))
        probe_client = await ends.enter_async_context(_client(door))
        urls = {service: copy.app for service, copy in copies.items()}
        apps = build_services(known, urls, bus, BASE, clock=clock, probe_client=probe_client)
        ends.push_async_callback(bus.stop)
        for app in apps.values():
            await ends.enter_async_context(app.router.lifespan_context(app))
        await bus.start()
        gateway = later["gateway"] = create_app(Settings(), bus, apps, clock=clock)
        await ends.enter_async_context(_lifespan(gateway))
        for app in apps.values():
            await app.state.runtime.point.loaded()
        client = await ends.enter_async_context(_client(gateway))
        direct = {name: await ends.enter_async_context(_client(app)) for name, app in apps.items()}
        yield InProcessPlatform(
            apps, gateway, client, direct, bus, known, urls, {s: copy.admin_dsn for s, copy in copies.items()}
        )


@contextlib.asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    """Run an ASGI app's lifespan, as a server does."""
    import asyncio

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
