"""Problems as answers: RFC 9457 bodies in the client's language, and the record of a refusal before it leaves."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import Counter
from starlette.exceptions import HTTPException

from common.problems import (
    CONTENT_TYPE,
    BadRequest,
    Invalid,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooLarge,
    Unavailable,
)
from common.web.idempotency import ReplayedError
from common.web.request_state import request_state

log = structlog.get_logger()

UNDECLARED = Counter(
    "xindun_problems_undeclared_total",
    "Problems that an operation answered and does not declare",
    ["operation", "problem"],
)


def negotiate_language(request: Request) -> str:
    """Return "en" where `Accept-Language` prefers English to Chinese, else "zh"."""
    accepted = request.headers.get("accept-language", "")
    best = {"zh": 0.0, "en": 0.0}
    for part in accepted.split(",")[:20] if accepted else ():
        tag, _, quality = part.strip().partition(";")
        primary = tag.split("-")[0].strip().lower()
        if primary in best:
            weight = re.fullmatch(r"\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*", quality)
            best[primary] = max(best[primary], float(weight[1]) if weight else 0.0 if quality else 1.0)
    return "en" if best["en"] > best["zh"] else "zh"


def problem_response(request: Request, problem: Problem) -> Response:
    """Return the RFC 9457 response in the client's language."""
    language = negotiate_language(request)
    headers = {
        "content-type": CONTENT_TYPE,
        "content-language": language,
        "cache-control": "no-store",
        **{name.lower(): value for name, value in problem.headers.items()},  # a problem may set its content type
    }
    body = orjson.dumps(problem.body(language, request_state(request.scope).request_id), default=str)
    return Response(body, status_code=problem.status, headers=headers)


Recorder = Callable[[Request, Problem], Awaitable[None]]


def add_exception_handlers(app: FastAPI, record: Recorder | None) -> None:
    """Let every refusal and failure of `app` leave as a problem; `record` writes the recorded ones down before that.

    None where nothing is refused that would be recorded.
    """

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        slugs = getattr(request.scope.get("route"), "problem_slugs", None)
        if slugs is not None and error.slug not in slugs:
            UNDECLARED.labels(request.scope["route"].operation_id, error.slug).inc()
            log.error("problem.undeclared", operation=request.scope["route"].operation_id, problem=error.slug)
        if record and (error.recorded or error.event is not None):
            try:
                await record(request, error)
            except Unavailable as away:
                # P3 and P10: the refusal stands, and that it could not be recorded is answered and visible.
                log.error(
                    "refusal.not_recorded", problem=error.slug, request_id=request_state(request.scope).request_id
                )
                return problem_response(request, away)
        return problem_response(request, error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        language = negotiate_language(request)
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
        assert isinstance(error, ReplayedError)
        return error.response

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(ReplayedError, on_replayed)


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
    "time_out_of_range": ("时间须在 1900 年至 2199 年之间", None),
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
        error["pointer"] = "#" + "".join(f"/{pointer_step(step)}" for step in path)
    elif path:
        error["parameter"] = str(path[0])[:64]
    zh, en = SENTENCES.get(detail["type"], ("取值不符合要求", None))
    error["detail"] = zh if language == "zh" else en or detail["msg"]
    return error


def pointer_step(step: object) -> str:
    """Return one step of a JSON pointer (RFC 6901 §3), cut short: names of members are the client's, of any length."""
    return str(step)[:64].replace("~", "~0").replace("/", "~1")
