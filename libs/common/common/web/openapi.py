"""The declaration of an operation: its summary in both languages, the problems that it answers, how it takes a repeat.

`Route` (`common.web.dependencies`) reads the declaration and documents it; problems that follow from the signature
(credential, permission, body, transaction, If-Match) are added there, so that an endpoint declares only its own.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from common.problems import Problem

F = TypeVar("F", bound=Callable[..., Any])

PROBLEM_SCHEMA_REF = {"$ref": "#/components/schemas/Problem"}
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "description": "urn:xindun:problem:<slug>"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "clause": {"type": "string", "description": "the obligation that asks for the refusal"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
    },
}
"""RFC 9457, with our extension members."""


@dataclass(frozen=True, slots=True)
class Operation:
    """The declaration of an endpoint. `no_key`: why the operation takes no Idempotency-Key, in zh and en."""

    zh: str
    en: str
    problems: tuple[type[Problem], ...] = ()
    no_key: tuple[str, str] | None = None

    @property
    def summary(self) -> str:
        """Both languages, Chinese first."""
        return f"{self.zh} / {self.en}"


def operation(zh: str, en: str, *problems: type[Problem], no_key: tuple[str, str] | None = None) -> Callable[[F], F]:
    """Declare the decorated endpoint: summary in zh and en, and the problems that it raises beyond its signature's.

    Its function name is the `operationId`. Put it below the route decorator.
    """

    def declare(endpoint: F) -> F:
        endpoint.__operation__ = Operation(zh, en, problems, no_key)  # type: ignore[attr-defined]
        return endpoint

    return declare


def operation_of(endpoint: Callable[..., Any]) -> Operation | None:
    """Return the declaration of an endpoint, None for an undeclared one."""
    return getattr(endpoint, "__operation__", None)


def problem_responses(problems: Iterable[type[Problem]]) -> dict[int | str, dict[str, Any]]:
    """Return the OpenAPI responses of `problems`, by status: each names its slugs and their titles."""
    by_status: dict[int, dict[str, type[Problem]]] = {}
    for problem in problems:
        by_status.setdefault(problem.status, {})[problem.slug] = problem
    return {
        status: {
            "description": "; ".join(f"`{slug}` {each.zh} / {each.en}" for slug, each in sorted(found.items())),
            "content": {
                "application/problem+json": {
                    "schema": {
                        "allOf": [
                            PROBLEM_SCHEMA_REF,
                            {
                                "properties": {
                                    "type": {"enum": [f"urn:xindun:problem:{slug}" for slug in sorted(found)]}
                                }
                            },
                        ]
                    }
                }
            },
        }
        for status, found in sorted(by_status.items())
    }
