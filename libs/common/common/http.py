"""HTTP as every process speaks it: bounded requests, request and trace ids, one transaction per request, problems as answers."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Annotated, Any

import orjson
import structlog
from fastapi import APIRouter, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from prometheus_client import Histogram
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import idempotency
from common.context import ActContext, act, new_traceparent
from common.idempotency import Replayed
from common.ids import new_id
from common.problems import (
    CONTENT_TYPE,
    Invalid,
    NotFound,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    TooLarge,
    Unavailable,
    Unexpected,
)
from common.runtime import RuntimeDep

__all__ = [
    "IfMatch",
    "Requests",
    "Route",
    "SessionDep",
    "allow_file",
    "etag",
    "install_problems",
    "language_of",
    "problem_response",
    "router",
]

log = structlog.get_logger()

DEEPEST = 32
"""Nesting of a JSON body."""
LONGEST_LENGTH = 18
"""Digits of a Content-Length that is worth reading as a number."""
METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
SECONDS = Histogram(
    "xindun_request_seconds",
    "Requests by route and status",
    ["service", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


# Requests


class BoundedRequest(Request):
    """A request whose JSON is bounded in depth and holds nothing that the database cannot store."""

    async def json(self) -> Any:
        """Return the body. Raises `json.JSONDecodeError`, which becomes a 422, and `Invalid`."""
        value = orjson.loads(await self.body())
        level = [("#", value)]
        for _ in range(DEEPEST):
            level = [inner for pointer, item in level for inner in _inside(pointer, item)]
            if not level:
                return value
        raise _unfit("#", "too_deep", f"嵌套不得超过 {DEEPEST} 层", f"Nested deeper than {DEEPEST}")


def _inside(pointer: str, item: Any) -> Iterator[tuple[str, Any]]:
    """Give the objects and lists in `item`, with their JSON pointers. Raises `Invalid` on text with NUL."""
    if isinstance(item, dict):
        for name, member in item.items():
            if "\0" in name or (isinstance(member, str) and "\0" in member):
                raise _unfit(f"{pointer}/{_escaped(name)}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{_escaped(name)}", member
    elif isinstance(item, list):
        for index, member in enumerate(item):
            if isinstance(member, str) and "\0" in member:
                raise _unfit(f"{pointer}/{index}", "nul", "不能含有 NUL 字符", "NUL is not text")
            if member and isinstance(member, dict | list):
                yield f"{pointer}/{index}", member


def _unfit(pointer: str, type_: str, zh: str, en: str) -> Invalid:
    return Invalid(zh, en, errors=[{"in": "body", "type": type_, "pointer": pointer}])


def _escaped(step: object) -> str:
    """Return one step of a JSON pointer (RFC 6901 §3), cut short: names of members are the client's, of any length."""
    return str(step)[:64].replace("~", "~0").replace("/", "~1")


def allow_file(scope: Scope, *, most: int, within: float) -> None:
    """Let this request be a file of up to `most` bytes that takes up to `within` seconds, before anything of it is read."""
    scope["xindun.body_limit"] = most
    scope["xindun.term"].reschedule(asyncio.get_running_loop().time() + within)


class Route(APIRoute):
    """Reads bounded requests, and leaves the answer where the transaction can keep it with the act."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's handler."""
        handler = super().get_route_handler()

        async def bounded(request: Request) -> Response:
            response = await handler(BoundedRequest(request.scope, request.receive))
            request.scope["xindun.response"] = response
            return response

        return bounded


def router(prefix: str, tag: str) -> APIRouter:
    """Return a router of a capability."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=Route)


async def _session(
    request: Request,
    runtime: RuntimeDep,
    idempotency_key: Annotated[str | None, Header(description="Makes a write repeatable")] = None,
) -> AsyncIterator[AsyncSession]:
    async with runtime.database.transaction() as session:
        claim = None
        if idempotency_key is not None and request.method not in ("GET", "HEAD"):
            if len(request.headers.getlist("idempotency-key")) > 1:
                raise Invalid("Idempotency-Key 只能有一个", "There can be only one Idempotency-Key")
            claim = await idempotency.begin(session, request, idempotency_key, runtime.clock)
        yield session
        if claim:
            await idempotency.finish(session, claim, request.scope["xindun.response"])


SessionDep = Annotated[AsyncSession, Depends(_session, scope="function")]
"""The request's transaction: returning commits before the answer leaves, raising rolls back. Declare it after the permission."""


def etag(version: int) -> dict[str, str]:
    """Return the header that names a version of a thing."""
    return {"ETag": f'"{version}"'}


class IfMatch:
    """The version that an edit says it edits."""

    def __init__(
        self, if_match: Annotated[str | None, Header(description='ETag of what was read, like "3"')] = None
    ) -> None:
        self._header = if_match

    def check(self, version: int) -> None:
        """Raise `PreconditionRequired` without the header, `PreconditionFailed` when it names another version."""
        if self._header is None:
            raise PreconditionRequired(current=version)
        if self._header.strip() != f'"{version}"':
            raise PreconditionFailed(headers=etag(version))


class Requests:
    """Outermost ASGI layer: ids, bounds of body and time, one log line and one measurement per request, no defect shown."""

    def __init__(self, app: ASGIApp, *, service: str, body_limit: int, timeout: float) -> None:
        self._app, self._service, self._limit, self._timeout = app, service, body_limit, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        request_id = headers.get(b"x-request-id", "")
        if not SAFE_ID.fullmatch(request_id):
            request_id = str(new_id())
        traceparent = headers.get(b"traceparent", "")
        if not TRACEPARENT.fullmatch(traceparent):
            traceparent = new_traceparent()
        act(ActContext(requestid=request_id, traceparent=traceparent))
        # A state of its own: what a caller within the process found out about its client proves nothing here.
        scope = {**scope, "state": {"request_id": request_id}}
        begun, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(h for h in message.get("headers", []) if h[0].lower() != b"x-request-id"),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            async with asyncio.timeout(self._timeout) as term:
                scope["xindun.term"] = term
                await self._app(scope, self._bounded(scope, headers, receive), answer)
        except Problem as problem:
            await self._fail(problem, scope, receive, answer, status)
        except TimeoutError:
            log.warning("request.timeout", service=self._service, request_id=request_id)
            await self._fail(Unavailable("处理超时", "It took too long"), scope, receive, answer, status)
        except Exception as error:
            log.exception(
                "request.unexpected", service=self._service, request_id=request_id, error=type(error).__name__
            )
            await self._fail(Unexpected(), scope, receive, answer, status)
        finally:
            self._note(scope, request_id, traceparent, status, time.perf_counter() - begun)

    async def _fail(self, problem: Problem, scope: Scope, receive: Receive, send: Send, status: int) -> None:
        if status:
            return  # the answer had begun: the connection ends unfinished, which is how the client sees it
        await problem_response(Request(scope), problem)(scope, receive, send)

    def _bounded(self, scope: Scope, headers: dict[bytes, str], receive: Receive) -> Receive:
        declared = headers.get(b"content-length", "0")
        received = 0

        async def bounded() -> Message:
            nonlocal received
            limit = scope.get("xindun.body_limit", self._limit)
            if declared.isascii() and declared.isdigit() and (len(declared) > LONGEST_LENGTH or int(declared) > limit):
                raise TooLarge(limit=limit)
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise TooLarge(limit=limit)
            return message

        return bounded

    def _note(self, scope: Scope, request_id: str, traceparent: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or scope.get("xindun.route", "-")
        method = scope["method"] if scope["method"] in METHODS else "other"  # a client must not make time series
        SECONDS.labels(self._service, method, route, str(status)).observe(seconds)
        principal = scope["state"].get("principal")
        log.info(
            "request",
            service=self._service,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            request_id=request_id,
            trace_id=traceparent[3:35],
            actor=principal.subject if principal else None,
        )


# Answers


def language_of(request: Request) -> str:
    """Return "en" when `Accept-Language` prefers English to Chinese, else "zh"."""
    best = {"zh": 0.0, "en": 0.0}
    for part in request.headers.get("accept-language", "").split(",")[:20]:
        tag, _, quality = part.strip().partition(";")
        primary = tag.split("-")[0].strip().lower()
        if primary in best:
            weight = re.fullmatch(r"\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", quality)
            best[primary] = max(best[primary], float(weight[1]) if weight else 0.0 if quality else 1.0)
    return "en" if best["en"] > best["zh"] else "zh"


def problem_response(request: Request, problem: Problem) -> Response:
    """Return the RFC 9457 answer in the client's language."""
    language = language_of(request)
    body = problem.body(language, request.scope.get("state", {}).get("request_id"))
    return Response(
        orjson.dumps(body, default=str),
        status_code=problem.status,
        media_type=CONTENT_TYPE,
        headers={"Content-Language": language, "Cache-Control": "no-store", **problem.headers},
    )


Recorder = Callable[[Request, Problem], Awaitable[None]]


def install_problems(app: FastAPI, record: Recorder) -> None:
    """Let every refusal and failure of `app` leave as a problem; `record` writes the recorded ones down before that."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        if error.recorded or error.event is not None:
            try:
                await record(request, error)
            except Unavailable as away:
                # P3 and P10: the refusal stands, and that it could not be recorded is answered and visible.
                log.error("refusal.not_recorded", problem=error.slug, request_id=request.scope["state"]["request_id"])
                return problem_response(request, away)
        return problem_response(request, error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        language = language_of(request)
        errors = [_field_error(detail, language) for detail in error.errors()[:50]]
        return problem_response(request, Invalid(errors=errors))

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error.__cause__, Problem):
            return await on_problem(request, error.__cause__)  # FastAPI calls whatever ends the reading of a body a 400
        problem = _of_status(error.status_code)
        problem.headers.update(error.headers or {})
        return problem_response(request, problem)

    async def on_replayed(_: Request, error: Exception) -> Response:
        assert isinstance(error, Replayed)
        return error.response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Replayed, on_replayed)


class MethodNotAllowed(Problem):
    """405."""

    slug, status = "method-not-allowed", 405
    zh, en = "不支持该方法", "The method is not allowed here"


class BadRequest(Problem):
    """400."""

    slug, status = "bad-request", 400
    zh, en = "请求无法解析", "The request cannot be read"


def _of_status(status: int) -> Problem:
    known: dict[int, type[Problem]] = {
        400: BadRequest,
        404: NotFound,
        405: MethodNotAllowed,
        413: TooLarge,
        503: Unavailable,
    }
    return known.get(status, BadRequest)()


SENTENCES: dict[str, tuple[str, str | None]] = {
    "missing": ("缺少必填项", None),
    "json_invalid": ("JSON 格式错误", "This is not JSON"),
    "model_attributes_type": (
        "请求内容须为 JSON 对象(application/json)",
        "The body must be a JSON object (application/json)",
    ),
    "extra_forbidden": ("不允许的字段", "This member is not known here"),
    "string_type": ("须为字符串", None),
    "string_too_short": ("内容过短", None),
    "string_too_long": ("内容过长", None),
    "string_pattern_mismatch": ("格式不符", None),
    "uuid_type": ("不是有效的 UUID", "This is not a UUID"),
    "uuid_parsing": ("不是有效的 UUID", "This is not a UUID"),
    "enum": ("不在允许的取值内", None),
    "literal_error": ("不在允许的取值内", None),
    "int_type": ("不是整数", None),
    "int_parsing": ("不是整数", None),
    "int_from_float": ("不是整数", None),
    "datetime_parsing": ("不是有效的时间", "This is not a time"),
    "datetime_from_date_parsing": ("不是有效的时间", "This is not a time"),
    "timezone_aware": ("时间须带时区", None),
    "date_from_datetime_parsing": ("不是有效的日期", "This is not a date"),
    "greater_than_equal": ("数值过小", None),
    "greater_than": ("数值过小", None),
    "less_than_equal": ("数值过大", None),
    "less_than": ("数值过大", None),
    "too_long": ("项目过多", None),
    "too_short": ("项目过少", None),
}
"""The commonest validation errors in Chinese, and in English where pydantic's sentence would quote the input."""


def _field_error(detail: Any, language: str) -> dict[str, Any]:
    """Return one entry of `errors`: a JSON pointer or parameter name, the type, and a sentence; never the input."""
    where, *path = detail["loc"] or ("body",)
    error: dict[str, Any] = {"in": where, "type": detail["type"]}
    if detail["type"] == "json_invalid":
        error["position"] = path[0]
    elif where == "body":
        error["pointer"] = "#" + "".join(f"/{_escaped(step)}" for step in path)
    elif path:
        error["parameter"] = str(path[0])[:64]
    zh, en = SENTENCES.get(detail["type"], ("取值不符合要求", None))
    error["detail"] = zh if language == "zh" else en or detail["msg"]
    return error
