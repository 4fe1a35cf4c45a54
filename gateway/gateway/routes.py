"""The public routes: which service serves which path, and which paths need no credential."""

import re
from dataclasses import dataclass
from functools import lru_cache

from common.contracts.services import SERVICES

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
"""Paths without a bearer token: they issue credentials, check other credentials, or return public proofs."""

WELL_KNOWN = ("/.well-known/jwks.json", "/.well-known/oauth-authorization-server")
"""Identity's pages at the paths that the standards fix."""

LARGE_BODY = re.compile(r"/datashare/resources/[^/]+/records")
"""Paths whose body is a file."""

LARGE_BODY_LIMIT = 64 << 20
"""Bytes."""
LARGE_BODY_TIMEOUT = 310.0
"""Seconds: a little longer than the service's own timeout."""

MAX_CACHED_PATH = 100
"""Characters: callers choose the paths, and the cache must stay small."""


@dataclass(frozen=True, slots=True)
class Route:
    """The service of a path, and its exceptions from the general rules."""

    service: str
    public: bool
    body_limit: int | None


def find_route(path: str) -> Route | None:
    """Return the route of `path`, None where no service has it."""
    return _find_cached(path) if len(path) <= MAX_CACHED_PATH else _find(path)


def _find(path: str) -> Route | None:
    if not path.startswith("/"):
        return None
    service = "identity" if path in WELL_KNOWN else path[1:].partition("/")[0]
    if service not in SERVICES:
        return None
    return Route(
        service,
        public=PUBLIC.fullmatch(path) is not None,
        body_limit=LARGE_BODY_LIMIT if LARGE_BODY.fullmatch(path) else None,
    )


_find_cached = lru_cache(1024)(_find)
