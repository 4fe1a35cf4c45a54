"""HTTP clients of ASGI applications, and what their responses say."""

import httpx
from starlette.types import ASGIApp

HERE = "127.0.0.1"


def asgi_client(app: ASGIApp, address: str = HERE) -> httpx.AsyncClient:
    """A client at a network address; an exception within the application is answered as a server would."""
    transport = httpx.ASGITransport(app=app, client=(address, 40_000), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://platform", timeout=60)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def slug(response: httpx.Response) -> str | None:
    """Return the slug of a problem, None for anything else."""
    if "json" not in response.headers.get("content-type", ""):
        return None
    body = response.json()
    kind = body.get("type") if isinstance(body, dict) else None
    return kind.removeprefix("urn:xindun:problem:") if isinstance(kind, str) else None
