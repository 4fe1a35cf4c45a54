"""Direct doors: past the framework, and yet as every other route of a service."""

from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from common.problems import Forbidden
from common.web.authorization import Anonymous
from common.web.exception_handlers import add_exception_handlers
from common.web.fast_routes import fast_router, fast_routes
from common.web.middleware import RequestMiddleware
from common.web.routing import router


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=5)]
    deep: list[object] = []


direct, usual = fast_router("/direct", "doors"), router("/usual", "doors")


@direct.post("/echo")
@usual.post("/echo")
async def echo(body: Asked, request: Request, _: Anonymous) -> Response:
    """Say it again, or no."""
    if body.name == "no":
        raise Forbidden
    return Response(f"{body.name} at {request.scope['route'].path}", media_type="text/plain")


@pytest.fixture
async def client():
    app = FastAPI()
    for routes in (direct, usual):
        app.include_router(routes)
    add_exception_handlers(app, None)
    app.add_middleware(
        RequestMiddleware, service="doors", body_limit=1000, timeout=5, fast_routes=fast_routes([direct, usual])
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://doors") as client:
        yield client


JSON = {"content-type": "application/json"}
CASES = {
    "what is wanted": (b'{"name": "me"}', JSON),
    "a refusal": (b'{"name": "no"}', JSON),
    "nothing": (b"", JSON),
    "what is no JSON": (b'{"name": ', JSON),
    "what is no text": (b'{"name": "\xff"}', JSON),
    "another media type": (b'{"name": "me"}', {"content-type": "text/plain"}),
    "no media type": (b'{"name": "me"}', {}),
    "JSON of a kind": (b'{"name": "me"}', {"content-type": "application/problem+json; charset=utf-8"}),
    "an unknown member": (b'{"name": "me", "more": 1}', JSON),
    "too long a value": (b'{"name": "much too long"}', JSON),
    "no object": (b"[1]", JSON),
    "NUL": (b'{"name": "a\\u0000"}', JSON),
    "too deep": (b'{"name": "me", "deep": ' + b"[" * 40 + b"]" * 40 + b"}", JSON),
    "too much": (b'{"name": "me", "deep": [' + b"1," * 1000 + b"1]}", JSON),
}


@pytest.mark.parametrize("name", CASES)
async def test_a_fast_route_answers_as_any_other(client, name):
    content, headers = CASES[name]
    answers = [await client.post(f"/{kind}/echo", content=content, headers=headers) for kind in ("direct", "usual")]
    plain = [
        (
            each.status_code,
            each.headers["content-type"],
            each.text.replace("/direct/", "/usual/").replace(each.headers["x-request-id"], ""),
        )
        for each in answers
    ]
    assert plain[0] == plain[1]


async def test_another_method_or_path_is_no_fast_route(client):
    assert [(await client.get("/direct/echo")).status_code, (await client.post("/direct/echo/x")).status_code] == [
        405,
        404,
    ]


def test_a_fast_route_takes_no_parameters_of_the_path():
    async def of_one(name: str, _: Anonymous) -> Response:
        return Response(name)

    with pytest.raises(TypeError, match="a fast route takes"):
        fast_router("", "doors").get("/{name}")(of_one)
