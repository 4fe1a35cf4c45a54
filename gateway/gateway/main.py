"""Wires the gateway: upstreams and a bus in, an ASGI app out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from common.clock import Clock, SystemClock
from common.contracts.policies import POLICIES
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.verifier import Verifier
from common.messaging.bus import Bus
from common.web.application import supervise
from common.web.middleware import RequestMiddleware
from common.web.request_state import raise_body_limit, request_state
from gateway.authentication import Authentication
from gateway.denial_log import DenialLog
from gateway.pages import add_pages
from gateway.routes import LARGE_BODY_TIMEOUT, find_route
from gateway.settings import Settings
from gateway.upstream import Upstream

UPSTREAM_GRACE = 5.0
"""Seconds that the gateway's own request timeout is longer than that of the services, which then respond first."""


class Gateway:
    """The ASGI app within `RequestMiddleware`: a request of a service, or one of the gateway's own pages."""

    def __init__(
        self, pages: FastAPI, upstreams: Mapping[str, Upstream], authentication: Authentication, point: EnforcementPoint
    ) -> None:
        self._pages, self._upstreams, self._authentication = pages, upstreams, authentication
        self.point = point

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a lifespan or a request."""
        route = find_route(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._pages(scope, receive, send)
            return
        request_state(scope).route = f"/{route.service}"
        if route.body_limit is not None:
            raise_body_limit(scope, max_bytes=route.body_limit, timeout=LARGE_BODY_TIMEOUT)
        await self._authentication.authenticate(route, scope)
        await self._upstreams[route.service](scope, receive, send)


def create_app(
    settings: Settings, bus: Bus, upstreams: Mapping[str, Upstream], *, clock: Clock | None = None
) -> ASGIApp:
    """Return the gateway. `upstreams`: one for each of `SERVICES`."""
    clock = clock or SystemClock()
    point = EnforcementPoint(f"gateway-{settings.instance}", bus, clock, POLICIES)
    denials = DenialLog(bus, clock, settings.instance)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        background = {"point": point.run, "denials": denials.run}
        background |= {name: upstream.run for name, upstream in upstreams.items()}
        tasks = [asyncio.create_task(supervise("gateway", name, run)) for name, run in background.items()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    pages = FastAPI(
        title="Xindun gateway",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    add_pages(pages, point, upstreams, show_metrics=settings.show_metrics)
    authentication = Authentication(Verifier(point, settings.issuer, clock), denials)
    return RequestMiddleware(
        Gateway(pages, upstreams, authentication, point),
        service="gateway",
        body_limit=settings.body_limit,
        timeout=settings.request_timeout + UPSTREAM_GRACE,
    )
