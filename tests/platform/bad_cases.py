"""Requests made from the platform's own document: some that it allows, and more that break it."""

import json
from dataclasses import dataclass
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core import NotSet

EACH = {GenerationMode.POSITIVE: 1, GenerationMode.NEGATIVE: 3}
OURS = {"authorization", "idempotency-key", "content-type", "host", "content-length", "transfer-encoding", "cookie"}
"""Headers that the sender sets, or that would say more of the client than of the platform."""


@dataclass(frozen=True)
class BadCase:
    """One request, and the endpoint that it is meant for."""

    method: str
    template: str
    path: str
    params: list[tuple[str, Any]]
    headers: dict[str, str]
    content: bytes
    media_type: str | None

    async def send(self, client: httpx.AsyncClient, headers: dict[str, str]) -> httpx.Response:
        sent = [
            (name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in (self.headers | headers).items()
        ]
        if self.media_type:
            sent.append((b"content-type", self.media_type.encode()))
        return await client.request(self.method, self.path, params=self.params, headers=sent, content=self.content)


def _content(body: Any, media_type: str | None) -> bytes:
    if isinstance(body, NotSet):
        return b""
    if isinstance(body, bytes):
        return body
    if media_type and "json" in media_type:
        return json.dumps(body).encode()
    return str(body).encode("utf-8", "surrogatepass")


def _params(query: Any) -> list[tuple[str, Any]]:
    members = query.items() if isinstance(query, dict) else ()
    pairs = [(k, one) for k, v in members for one in (v if isinstance(v, list) else [v])]
    return [(str(k), _text(v)) for k, v in pairs]


def _text(value: Any) -> str:
    return str(value).encode("utf-8", "replace").decode()


def cases_from(document: dict[str, Any]) -> list[BadCase]:
    """Return the same cases every time."""
    schema = schemathesis.openapi.from_dict(document)
    schema.validate()
    made: list[BadCase] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        for mode, number in EACH.items():

            @settings(
                max_examples=number,
                database=None,
                derandomize=True,
                deadline=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=operation.as_strategy(generation_mode=mode))
            def make(case) -> None:
                headers = {k: _text(v) for k, v in (case.headers or {}).items() if k.lower() not in OURS}
                made.append(
                    BadCase(
                        case.method,
                        case.path,
                        _text(case.formatted_path),
                        _params(case.query),
                        headers,
                        _content(case.body, case.media_type),
                        case.media_type,
                    )
                )

            try:
                make()
            except Unsatisfiable:
                continue  # an operation that takes nothing cannot be asked wrongly
    return made
