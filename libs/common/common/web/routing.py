"""Routes of every service: bounded JSON bodies, and the OpenAPI that follows from signature and declaration."""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from common.problems import BadRequest, Conflict, Invalid, PreconditionFailed, PreconditionRequired, Problem, TooLarge
from common.storage.database import DatabaseUnavailable
from common.web.authorization import Requires
from common.web.dependencies import if_match, read_transaction, write_transaction
from common.web.exception_handlers import pointer_step
from common.web.idempotency import IdempotencyConflict
from common.web.openapi import Operation, operation_of, problem_responses
from common.web.pagination import page_request
from common.web.request_state import request_state

SAFE_METHODS = frozenset(("GET", "HEAD"))
MAX_JSON_DEPTH = 32
"""Nesting of a JSON body."""


class BoundedRequest(Request):
    """A request whose JSON is bounded in depth and holds nothing that the database cannot store."""

    async def json(self) -> Any:
        """Return the body. Raises `json.JSONDecodeError`, which becomes a 422, and `Invalid`."""
        value = orjson.loads(await self.body())
        level = [("#", value)]
        for _ in range(MAX_JSON_DEPTH):
            level = [inner for pointer, item in level for inner in _inside(pointer, item)]
            if not level:
                return value
        raise _unfit("#", "too_deep", f"嵌套不得超过 {MAX_JSON_DEPTH} 层", f"Nested deeper than {MAX_JSON_DEPTH}")


def _inside(pointer: str, item: Any) -> Iterator[tuple[str, Any]]:
    """Give the objects and lists in `item`, with their JSON pointers. Raises `Invalid` on text with NUL."""
    if isinstance(item, dict):
        for name, member in item.items():
            if "\0" in name or (isinstance(member, str) and "\0" in member):
                raise _unfit(f"{pointer}/{pointer_step(name)}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{pointer_step(name)}", member
    elif isinstance(item, list):
        for index, member in enumerate(item):
            if isinstance(member, str) and "\0" in member:
                raise _unfit(f"{pointer}/{index}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{index}", member


def _unfit(pointer: str, type_: str, zh: str, en: str) -> Invalid:
    return Invalid(zh, en, errors=[{"in": "body", "type": type_, "pointer": pointer}])


class Route(APIRoute):
    """Reads bounded requests, and documents what the endpoint declares (`common.web.openapi.operation`).

    `problem_slugs` are the problems that the operation may answer: declared ones, and those of its signature; None where
    the endpoint declares nothing.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        declared = operation_of(endpoint)
        if declared:
            options["summary"] = declared.summary
        options["operation_id"] = options.get("operation_id") or endpoint.__name__
        super().__init__(path, endpoint, **options)
        calls = set(_calls(self.dependant))
        problems = {*_implied_problems(self.dependant, calls), *(declared.problems if declared else ())}
        self.problem_slugs = frozenset(problem.slug for problem in problems) if declared else None
        self.responses = {**self.responses, **problem_responses(problems)}
        if not (self.methods or set()) <= SAFE_METHODS:
            self.openapi_extra = {**(self.openapi_extra or {}), "x-idempotency": _idempotency(declared, calls)}

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            response = await handler(BoundedRequest(request.scope, request.receive))
            request_state(request.scope).response = response
            return response

        return bounded


def _calls(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)


def _implied_problems(dependant: Dependant, calls: set[Any]) -> Iterator[type[Problem]]:
    """Yield the problems that follow from a signature."""
    for call in calls:
        if isinstance(call, Requires):
            yield from call.problems()
    if dependant.body_params:
        yield from (Invalid, TooLarge, BadRequest)
    if dependant.path_params or dependant.query_params or dependant.header_params or page_request in calls:
        yield Invalid
    if read_transaction in calls or write_transaction in calls:
        yield DatabaseUnavailable
    if write_transaction in calls:
        yield from (Conflict, Invalid, IdempotencyConflict)
    if if_match in calls:
        yield from (PreconditionRequired, PreconditionFailed)


def _idempotency(declared: Operation | None, calls: set[Any]) -> dict[str, Any]:
    if write_transaction in calls:
        return {"key": True}
    zh, en = (declared.no_key if declared else None) or ("", "")
    return {"key": False, "reason": {"zh": zh, "en": en}}


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router of a capability."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Route)
