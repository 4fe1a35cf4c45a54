"""A service behind the gateway: what the gateway asks of it, wherever the service runs."""

from typing import Protocol

from starlette.types import Receive, Scope, Send


class Upstream(Protocol):
    """An ASGI app that forwards a request to its service. `run` must run beside it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and its response. Raises the problems of `gateway.problems`."""

    async def run(self) -> None:
        """Keep what the upstream knows about its service current, until cancelled."""

    async def ready(self) -> bool:
        """Whether the service accepts requests."""

    async def openapi(self) -> bytes:
        """Return the service's OpenAPI document. Raises `ServiceUnavailable`."""
