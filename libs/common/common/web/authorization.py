"""Authorization of requests: bearer tokens become principals, permissions are types in an endpoint's signature."""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from common.context import bind_actor
from common.enforcement.enforcement_point import CredentialRevoked, FeedStale, RevokerSilent
from common.enforcement.permissions import Permission
from common.enforcement.principals import Principal
from common.enforcement.verifier import CredentialInvalid, challenge
from common.problems import Forbidden, Problem, Unauthorized
from common.web.request_state import request_state
from common.web.runtime import RuntimeDep


class MissingPermission(Forbidden):
    """403: the post does not include the permission; `permission` names it."""

    slug = "permission-missing"


class ProbeRefused(Forbidden):
    """403: a probe credential may only be used for the operations that probes test."""

    slug = "probe-refused"
    zh, en = "探测凭证不能用于此操作", "A probe credential cannot do this"
    clause = "12.3"


def bearer_token(request: Request) -> str:
    """Return the bearer token of a request. Raises `Unauthorized`."""
    return bearer_token_in(request.scope["headers"])


def bearer_token_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the bearer token in a request's headers (RFC 6750 §2.1). Raises `Unauthorized`."""
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        raise Unauthorized(headers=challenge())
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(headers=challenge())
    return token


def client_ip(request: Request) -> str:
    """Return the network address from which the caller reached the platform."""
    return request.client.host if request.client else ""


class Requires(SecurityBase):
    """A dependency that admits principals with `permission` (None: any valid credential).

    `class_a` marks an act that reads credit data, opens it, or widens access: refused while revocation is impossible.
    `probes` admits probe credentials.
    """

    def __init__(self, permission: Permission | None, *, class_a: bool = False, probes: bool = False) -> None:
        self.permission, self.class_a, self.probes = permission, class_a, probes
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearer"

    def problems(self) -> Iterator[type[Problem]]:
        """Yield the refusals that this permission may answer."""
        yield from (Unauthorized, CredentialInvalid, CredentialRevoked, FeedStale)
        if self.permission is not None:
            yield MissingPermission
        if self.class_a:
            yield RevokerSilent
        if not self.probes:
            yield ProbeRefused

    async def __call__(self, request: Request, runtime: RuntimeDep) -> Principal:
        """Return the principal. Raises `FeedStale`, `CredentialInvalid`, `CredentialRevoked`, `RevokerSilent`, `Forbidden`."""
        principal = runtime.verifier.authenticate(bearer_token(request))
        request_state(request.scope).principal = principal  # first, so that a refusal is recorded with its subject
        bind_actor(actor=principal.subject, unit=str(principal.unit) if principal.unit else None)
        runtime.point.require_current(principal.epochs)
        if principal.probe and not self.probes:
            raise ProbeRefused
        if self.class_a:
            runtime.point.require_revoker()
        if self.permission is not None and not principal.has(self.permission.name):
            raise MissingPermission(clause=self.permission.clause, permission=self.permission.name)
        return principal


def requires(permission: Permission | None, *, class_a: bool = False, probes: bool = False) -> Any:
    """Return the second half of a permission type.

    `CanRevokeAccounts = Annotated[Principal, requires("accounts.revoke")]`
    """
    return Depends(Requires(permission, class_a=class_a, probes=probes))


class _AnonymousAccess:
    """Marks an endpoint that needs no credential; a test finds endpoints with neither mark nor permission."""

    async def __call__(self, _: Request) -> None:
        """Let every request pass."""


def is_anonymous(call: object) -> bool:
    """Whether a dependency is that of `Anonymous`."""
    return isinstance(call, _AnonymousAccess)


Anonymous = Annotated[None, Depends(_AnonymousAccess())]
"""The type of the parameter that marks an endpoint without credential."""
