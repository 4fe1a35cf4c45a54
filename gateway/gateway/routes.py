"""The public map: which service answers which path, and what everybody may ask without a credential."""

import re
from dataclasses import dataclass
from functools import lru_cache

from common.contracts.services import SERVICES

__all__ = ["LARGE", "PUBLIC", "Route", "route_of"]


PUBLIC = re.compile(
    r"""
    (?:/identity)?/\.well-known/(?: jwks\.json | oauth-authorization-server )
    | /identity/(?:
        oauth/token | oauth/introspect
        | sessions | sessions/refresh
        | activations | activations/confirm
      )
    | /audit/(?: checkpoint | tile/\d[\dx/.p]* | log-key | verify\.py )
    """,
    re.VERBOSE,
)
"""Paths that need no credential: they are how one gets a credential, prove who asks by themselves, or prove themselves."""

WELL_KNOWN = ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server")
"""Identity's pages at the places where standards look for them."""

LARGE = re.compile(r"/datashare/resources/[^/]+/records")
"""Paths that take a whole file; all others take the ordinary limit."""

LARGE_LIMIT = 64 << 20
"""Bytes."""
LARGE_TERM = 310.0
"""Seconds: a little longer than the service takes for itself."""

REMEMBERED = 100
"""Characters of a path whose route is remembered: callers choose paths, and must not fill the memory with them."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a path leads."""

    service: str
    public: bool
    body_limit: int | None


def route_of(path: str) -> Route | None:
    """Return where `path` leads, None for nowhere."""
    return _remembered(path) if len(path) <= REMEMBERED else _found(path)


def _found(path: str) -> Route | None:
    if not path.startswith("/"):
        return None
    service = "identity" if path in WELL_KNOWN else path[1:].partition("/")[0]
    if service not in SERVICES:
        return None
    return Route(
        service,
        public=PUBLIC.fullmatch(path) is not None,
        body_limit=LARGE_LIMIT if LARGE.fullmatch(path) else None,
    )


_remembered = lru_cache(1024)(_found)
