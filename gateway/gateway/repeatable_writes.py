"""Which writes a service declares as safe to repeat with the same Idempotency-Key (extension `x-idempotency`)."""

import re
from typing import Any

import orjson

ESCAPED_PARAMETER = re.compile(r"\\\{[^/]+\\\}")


class RepeatableWrites:
    """The declarations of one OpenAPI document. An operation without one is not repeatable."""

    def __init__(self, document: bytes = b"{}") -> None:
        paths: dict[str, dict[str, Any]] = orjson.loads(document).get("paths", {})
        self._operations = [
            (method.upper(), _compile(path), _honours_key(operation))
            for path in sorted(paths, key=lambda path: "{" in path)  # a concrete path matches before a template
            for method, operation in paths[path].items()
        ]

    def allows(self, method: str, path: str) -> bool:
        """Whether the service stores the response with the act, and returns it when the request is repeated."""
        for operation_method, pattern, honours_key in self._operations:
            if operation_method == method and pattern.fullmatch(path):
                return honours_key
        return False


def _honours_key(operation: object) -> bool:
    declaration = operation.get("x-idempotency") if isinstance(operation, dict) else None
    return isinstance(declaration, dict) and declaration.get("key") is True


def _compile(path: str) -> re.Pattern[str]:
    return re.compile(ESCAPED_PARAMETER.sub("[^/]+", re.escape(path)))
