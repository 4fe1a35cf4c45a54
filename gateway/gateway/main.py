"""Wires the gateway: upstreams and a bus in, an ASGI app out."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Receive, Scope, Send

from common.clock import Clock, SystemClock
from common.context import get_context
from common.enforcement.authentication import Verifier
from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging.bus import Bus
from common.problems import NotFound
from common.web.application import supervise
from common.web.exception_handlers import add_exception_handlers, problem_response
from common.web.middleware import Requests, allow_file
from gateway import openapi
from gateway.door import Door, Gate, believing
from gateway.guard import Guard
from gateway.heads import passed_on
from gateway.refusals import Refusals
from gateway.routes import LARGE_TERM, route_of
from gateway.settings import Settings
from gateway.upstream import Upstream

__all__ = ["create_app"]

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
OWN = ("/health", "/ready", "/metrics", "/openapi.json", "/docs", "/docs/start.js")
KEPT = (
    "type",
    "asgi",
    "http_version",
    "method",
    "scheme",
    "path",
    "raw_path",
    "query_string",
    "client",
    "server",
)
"""What of a request's scope goes on, beside the headers."""


class Gateway:
    """The ASGI app behind `Requests`: its own few pages, or the guard and then the service."""

    def __init__(self, own: FastAPI, upstreams: Mapping[str, ASGIApp], guard: Guard) -> None:
        self._own, self._upstreams, self._guard = own, upstreams, guard
        self.state = own.state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a lifespan or a request."""
        if scope["type"] != "http" or scope["path"] in OWN or scope["path"].startswith("/docs/static/"):
            await self._own(scope, receive, send)
            return
        route = route_of(scope["path"])
        if route is None:
            await problem_response(Request(scope), NotFound())(scope, receive, send)
            return
        scope["xindun.route"] = f"/{route.service}"
        if route.body_limit is not None:
            allow_file(scope, most=route.body_limit, within=LARGE_TERM)
        if "xindun.exchange" in scope:  # let in at the door, and on its way already
            scope["state"]["principal"] = scope["xindun.principal"]
            await self._upstreams[route.service](scope, receive, send)
        elif await self._guard.lets_pass(route, scope, receive, send):
            upstream = self._upstreams[route.service]
            await upstream(scope if isinstance(upstream, Upstream) else _forwarded(scope), receive, send)


def _forwarded(scope: Scope) -> Scope:
    """Return the scope for a service in this process: nothing of what we found out, which proves nothing there."""
    ids = get_context()
    return {name: scope[name] for name in KEPT if name in scope} | {
        "headers": passed_on(scope["headers"], ids.requestid or "", ids.traceparent or ""),
        "root_path": "",
        "state": {},
    }


def create_app(
    settings: Settings, bus: Bus, upstreams: Mapping[str, ASGIApp], *, clock: Clock | None = None
) -> ASGIApp:
    """Return the gateway. `upstreams`: an ASGI app for each of `routes.SERVICES`."""
    clock = clock or SystemClock()
    point = EnforcementPoint(f"gateway-{settings.instance}", bus, clock)
    refusals = Refusals(bus, clock, settings.instance)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = {"point": point.run, "refusals": refusals.run}
        running |= {name: upstream.run for name, upstream in upstreams.items() if isinstance(upstream, Upstream)}
        jobs = [asyncio.create_task(supervise("gateway", name, run)) for name, run in running.items()]
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    own = FastAPI(title="Xindun gateway", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    own.state.point = point
    _own_pages(own, point, upstreams, show_metrics=settings.show_metrics)
    guard = Guard(Verifier(point, settings.issuer, clock), refusals)
    timeout = settings.request_timeout + 5
    app = Requests(Gateway(own, upstreams, guard), service="gateway", body_limit=settings.body_limit, timeout=timeout)
    elsewhere = {name: upstream for name, upstream in upstreams.items() if isinstance(upstream, Upstream)}
    if len(elsewhere) == len(upstreams):
        proxies = believing(settings.trusted_proxies) if settings.trusted_proxies is not None else None
        gate = Gate(elsewhere, guard, app.ended, settings.body_limit, timeout, proxies)
        app.protocol = partial(Door, gate=gate)
    return app


def _own_pages(app: FastAPI, point: EnforcementPoint, upstreams: Mapping[str, ASGIApp], *, show_metrics: bool) -> None:
    add_exception_handlers(app, None)
    _documents(app, upstreams)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive: the process answers."""
        return {"status": "alive"}

    @app.get("/ready")
    async def ready(response: Response) -> dict[str, Any]:
        """Ready: this point is fresh, and each service says that it is ready."""
        checks: dict[str, Any] = {"feed": point.fresh()}
        checks |= {name: await _ready(upstream) for name, upstream in upstreams.items()}
        if not all(checks.values()):
            response.status_code = 503
        return {"ready": all(checks.values()), "checks": checks}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics, where the settings show them on the public port."""
        if not show_metrics:
            raise NotFound
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _ready(upstream: ASGIApp) -> bool:
    """Whether a service can be asked: what its replicas said last, or what the app in this process says now."""
    if isinstance(upstream, Upstream):
        return upstream.replicas.ready
    status, _ = await openapi.ask(upstream, "/ready")
    return status == openapi.OK


def _documents(app: FastAPI, upstreams: Mapping[str, ASGIApp]) -> None:
    merged = openapi.Merged(upstreams)
    app.mount("/docs/static", StaticFiles(directory=openapi.STATIC))

    @app.get("/openapi.json")
    async def document() -> Response:
        """The merged document."""
        return Response(await merged.document(), media_type="application/json")

    @app.get("/docs", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        """The page for it."""
        return HTMLResponse(openapi.docs_page(), headers=SECURITY_HEADERS)

    @app.get("/docs/start.js")
    async def start() -> Response:
        """The script that starts the page."""
        return Response(openapi.START_JS, media_type="text/javascript", headers=SECURITY_HEADERS)
