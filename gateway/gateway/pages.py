"""The gateway's own pages: health, readiness, metrics, and the API documentation."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.enforcement.enforcement_point import EnforcementPoint
from common.problems import NotFound
from common.web.exception_handlers import add_exception_handlers
from gateway import openapi
from gateway.upstream import Upstream

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_pages(app: FastAPI, point: EnforcementPoint, upstreams: Mapping[str, Upstream], *, show_metrics: bool) -> None:
    """Add the pages to `app`."""
    add_exception_handlers(app, None)
    _add_documentation(app, upstreams)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Alive: the process responds."""
        return {"status": "alive"}

    @app.get("/ready")
    async def ready(response: Response) -> dict[str, Any]:
        """Ready: the revocation feed is fresh, and every service is ready."""
        checks: dict[str, Any] = {"feed": point.fresh()}
        checks |= {name: await upstream.ready() for name, upstream in upstreams.items()}
        if not all(checks.values()):
            response.status_code = 503
        return {"ready": all(checks.values()), "checks": checks}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus metrics, where the settings show them on the public port."""
        if not show_metrics:
            raise NotFound
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _add_documentation(app: FastAPI, upstreams: Mapping[str, Upstream]) -> None:
    merged = openapi.MergedDocument(upstreams)
    app.mount("/docs/static", StaticFiles(directory=openapi.STATIC))

    @app.get("/openapi.json")
    async def document() -> Response:
        """The merged document."""
        return Response(await merged.to_json(), media_type="application/json")

    @app.get("/docs", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        """The documentation page."""
        return HTMLResponse(openapi.docs_page(), headers=SECURITY_HEADERS)

    @app.get("/docs/start.js")
    async def start() -> Response:
        """The script that starts the page."""
        return Response(openapi.START_JS, media_type="text/javascript", headers=SECURITY_HEADERS)
