"""The route class of the doors that answer a thousand times a second."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import APIRouter, Request, Response

from common.http import Route
from common.runtime import Runtime

__all__ = ["direct_router"]


class Direct(Route):
    """Calls `endpoint(request, None, runtime)`: what FastAPI would find out from the signature, always the same.

    The endpoint reads its request and writes its response by itself; the signature and the decorator document it.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the endpoint's own handler."""
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            runtime: Runtime = request.app.state.runtime
            response: Response = await endpoint(request, None, runtime)
            return response

        return handle


def direct_router(tag: str) -> APIRouter:
    """Return a router of such doors; include it first, since routes are tried in order."""
    return APIRouter(tags=[tag], route_class=Direct)
