"""One OpenAPI 3.1 document of all services, and a page for it that needs no other network."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Scope

from gateway.problems import ServiceUnavailable
from gateway.upstream import Upstream

__all__ = ["OK", "START_JS", "STATIC", "Merged", "ask", "docs_page", "merge", "schema_of"]

OK = 200

STATIC = Path(str(files("fastapi_offline"))) / "static"
"""Swagger UI's files."""

SECURITY = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "人员：POST /identity/sessions；系统：POST /identity/oauth/token。People and systems get one there.",
    }
}

PROBLEM = {
    "type": "object",
    "description": "RFC 9457",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:xindun:problem:credential-revoked"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "clause": {"type": "string", "description": "条款 / the obligation that asks for the refusal"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


class Merged:
    """The document of all services, made when it is first asked for, and again when a service was replaced since."""

    def __init__(self, upstreams: Mapping[str, ASGIApp]) -> None:
        self._upstreams = upstreams
        self._parts: dict[str, tuple[object, dict[str, Any]]] = {}
        self._document = b""

    async def document(self) -> bytes:
        """Return it as JSON. Raises `Unavailable` when a service does not answer with its own."""
        changed = False
        for name, upstream in self._upstreams.items():
            revision = upstream.replicas.revision if isinstance(upstream, Upstream) else None
            if name not in self._parts or self._parts[name][0] != revision:
                self._parts[name] = revision, await schema_of(upstream)
                changed = True
        if changed:
            self._document = orjson.dumps(merge({name: document for name, (_, document) in self._parts.items()}))
        return self._document


async def schema_of(app: ASGIApp) -> dict[str, Any]:
    """Ask a service for its own document. Raises `ServiceUnavailable` when it does not answer with one."""
    status, body = await ask(app, "/openapi.json")
    if status != OK:
        raise ServiceUnavailable
    document: dict[str, Any] = orjson.loads(body)
    return document


async def ask(app: ASGIApp, path: str) -> tuple[int, bytes]:
    """Ask an upstream for a page of its own; return status and body."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"gateway")],
        "client": None,
        "server": None,
    }
    status, body = 0, b""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, body
        status = message.get("status", status)
        body += message.get("body", b"")

    await app(scope, receive, send)
    return status, body


def merge(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Join the services' documents: equal component names become one if equal, else take their service's prefix."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM}
    for service, document in documents.items():
        own = document.get("components", {}).get("schemas", {})
        own.pop("HTTPValidationError", None)
        own.pop("ValidationError", None)
        renamed = {
            name: f"{service.capitalize()}{name}" for name, schema in own.items() if schemas.get(name, schema) != schema
        }
        text = orjson.dumps({"paths": document["paths"], "schemas": own}).decode()
        for name, other in renamed.items():
            text = text.replace(f'"#/components/schemas/{name}"', f'"#/components/schemas/{other}"')
        part = orjson.loads(text)
        schemas |= {renamed.get(name, name): schema for name, schema in part["schemas"].items()}
        for path, operations in part["paths"].items():
            for operation in operations.values():
                _answer_with_problems(operation)
            paths[path] = operations
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Xindun 信盾",
            "version": "0.1.0",
            "summary": "公共信用信息平台安全管理 / security of the public-credit information platform",
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(schemas.items())), "securitySchemes": SECURITY},
    }


def _answer_with_problems(operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    responses.pop("422", None)
    responses["default"] = {
        "description": "问题 / problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def docs_page() -> str:
    """Return the page; the script that starts it is a file of ours, so that the content policy needs no exception."""
    return """<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>Xindun 信盾 API</title>
<link rel="icon" href="/docs/static/favicon.png"><link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>"""


START_JS = """window.ui = SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset].filter(Boolean)
});"""
