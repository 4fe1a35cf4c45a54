"""One OpenAPI 3.1 document of all services, and a documentation page that works without internet access."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from gateway.upstream import Upstream

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
        "clause": {"type": "string", "description": "条款 / the obligation that requires the refusal"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


class MergedDocument:
    """The document of all services, merged on the first request, and again when a service's own document changed."""

    def __init__(self, upstreams: Mapping[str, Upstream]) -> None:
        self._upstreams = upstreams
        self._parts: dict[str, bytes] = {}
        self._document = b""

    async def to_json(self) -> bytes:
        """Return the document. Raises `Unavailable` when a service does not return its own."""
        parts = {name: await upstream.openapi() for name, upstream in self._upstreams.items()}
        if parts != self._parts:
            self._document = orjson.dumps(merge({name: orjson.loads(part) for name, part in parts.items()}))
            self._parts = parts
        return self._document


def merge(documents: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Merge the services' documents. A schema name with two meanings gets its service's name as a prefix."""
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
                _add_problem_response(operation)
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


def _add_problem_response(operation: dict[str, Any]) -> None:
    responses = operation.setdefault("responses", {})
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    responses["default"] = {
        "description": "问题 / problem",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def docs_page() -> str:
    """Return the page; its script is a file, so that the content security policy needs no exception."""
    return """<!doctype html>
<html lang="zh"><head><meta charset="utf-8"><title>Xindun 信盾 API</title>
<link rel="icon" href="/docs/static/favicon.png"><link rel="stylesheet" href="/docs/static/swagger-ui.css"></head>
<body><div id="swagger-ui"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script><script src="/docs/start.js"></script></body></html>"""


START_JS = """window.ui = SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true, persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIBundle.SwaggerUIStandalonePreset].filter(Boolean)
});"""
