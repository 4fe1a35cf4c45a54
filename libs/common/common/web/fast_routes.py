"""Routes for hundreds of requests a second: dispatched by method and path, without FastAPI's dependency solving."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from common.web.authorization import Requires, is_anonymous
from common.web.routing import BoundedRequest, Route
from common.web.runtime import get_runtime


class FastRoute(Route):
    """A route whose endpoint takes, by name, no more than a permission, a JSON body, the request and the runtime.

    The endpoint returns a `Response`. FastAPI documents the route as any other; the signature is read once, here, and
    not with every request. The permission is checked before the body is read.
    Raises `TypeError` for a signature that wants more.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what fills in the endpoint's parameters and calls it."""
        _require_plain(self.dependant)
        endpoint, name_of_request = self.endpoint, self.dependant.request_param_name
        resolvers = [(each.name or "", _resolver(each.call)) for each in self.dependant.dependencies]
        body = self.dependant.body_params[0] if self.dependant.body_params else None

        async def handle(request: Request) -> Response:
            given: dict[str, Any] = {name: await resolve(request) for name, resolve in resolvers}
            if name_of_request:
                given[name_of_request] = request
            if body:
                value = await _json_of(request)
                given[body.name], errors = body.validate(value, {}, loc=("body",))
                if errors:
                    raise RequestValidationError(errors)
            response: Response = await endpoint(**given)
            return response

        self.handle_fast = handle
        return handle

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request for this route. Raises what the app has no handler for."""
        scope["route"] = self
        request = BoundedRequest(scope, receive)
        try:
            response = await self.handle_fast(request)
        except ClientDisconnect:
            return
        except Exception as error:
            handlers = request.app.exception_handlers
            handler = next((handlers[each] for each in type(error).__mro__ if each in handlers), None)
            if handler is None:
                raise
            response = await handler(request, error)
        await response(scope, receive, send)


def fast_router(prefix: str, tag: str) -> APIRouter:
    """Return a router of fast routes."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=FastRoute)


def fast_routes(routers: Iterable[APIRouter]) -> dict[tuple[str, str], ASGIApp]:
    """Return the fast routes among the routes, by method and path."""
    return {
        (method, route.path): route.serve
        for router in routers
        for route in router.routes
        if isinstance(route, FastRoute)
        for method in route.methods or ()
    }


def _require_plain(dependant: Dependant) -> None:
    others = dependant.path_params + dependant.query_params + dependant.header_params + dependant.cookie_params
    if others or len(dependant.body_params) > 1 or dependant.response_param_name:
        raise TypeError(f"{dependant.call}: a fast route takes a body, a permission, the request and the runtime")


def _resolver(call: Any) -> Callable[[Request], Awaitable[Any]]:
    """Return the function that resolves a dependency for a request."""
    if isinstance(call, Requires):
        return lambda request: call(request, request.app.state.runtime)
    if call is get_runtime or is_anonymous(call):
        resolver: Callable[[Request], Awaitable[Any]] = call
        return resolver
    raise TypeError(f"{call}: not a dependency of a fast route")


async def _json_of(request: Request) -> Any:
    """Return the JSON of the body; the body itself where it does not claim to be JSON, which no model takes."""
    body = await request.body()
    if not body:
        raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required", "input": None}])
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json" and not (media.startswith("application/") and media.endswith("+json")):
        return body
    try:
        return await request.json()
    except orjson.JSONDecodeError as error:
        fault = {"type": "json_invalid", "loc": ("body", error.pos), "msg": "JSON decode error", "input": {}}
        raise RequestValidationError([fault]) from None
