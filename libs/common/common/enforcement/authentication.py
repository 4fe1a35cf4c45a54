"""Who is asking, and may they: credentials become a `Principal`, permissions are types in an endpoint's signature.

Every service checks every credential by itself, at its own enforcement point; what the gateway let through proves
nothing here.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.security.base import SecurityBase

from common.clock import Clock
from common.context import bind_actor
from common.contracts.permissions import PERMISSIONS, UnitKind
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.tokens import TokenInvalid, verify
from common.problems import Forbidden, Unauthorized
from common.web.request_state import request_state
from common.web.runtime import RuntimeDep

__all__ = [
    "AUDIENCE",
    "Anonymous",
    "CredentialInvalid",
    "Principal",
    "Requires",
    "Verifier",
    "bearer_token",
    "bearer_token_in",
    "client_ip",
    "is_anonymous",
    "requires",
]

AUDIENCE = "xindun"
CACHED = 10_000
"""Verified tokens remembered per process: a second use costs a look-up and the cutoff check."""
FORGED = 1_000
"""Tokens remembered whose signature is none of ours: sent again, they cost no second look at it. At most 4 KiB each."""


class CredentialInvalid(Unauthorized):
    """401: the token does not prove anything; `reason` says why."""

    slug = "credential-invalid"
    zh, en = "凭证无效", "The credential is not valid"


class MissingPermission(Forbidden):
    """403: the post does not include the permission; `permission` names it."""

    slug = "permission-missing"


class ProbeRefused(Forbidden):
    """403: a probe credential proves that a door is shut; it opens none but the probed one."""

    slug = "probe-refused"
    zh, en = "探测凭证不能用于此操作", "A probe credential cannot do this"
    clause = "12.3"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts, as the verified token says. `probe` is the containment order that a probe credential tests."""

    kind: Literal["account", "system", "service"]
    id: str
    unit: UUID | None
    unit_kind: UnitKind | None
    permissions: frozenset[str]
    session: UUID | None
    epochs: dict[str, int]
    expires_at: datetime
    probe: UUID | None = None

    @property
    def subject(self) -> str:
        """The subject of cutoffs and records: `account:<id>`, `system:<id>`, `service:<name>`."""
        return f"{self.kind}:{self.id}"

    @property
    def uuid(self) -> UUID:
        """The account's or system's id."""
        return UUID(self.id)

    def has(self, permission: str) -> bool:
        """Whether the post, or the kind of credential, includes `permission`."""
        return permission in self.permissions


class Verifier:
    """Turns tokens into principals at one enforcement point."""

    def __init__(self, point: EnforcementPoint, issuer: str, clock: Clock) -> None:
        self._point, self._issuer, self._clock = point, issuer, clock
        self._verified: OrderedDict[str, Principal] = OrderedDict()
        self._forged: OrderedDict[str, None] = OrderedDict()
        self._generation = point.key_generation

    def authenticate_and_check_revocation(self, token: str) -> Principal:
        """Return who the token proves to act now.

        Raises `FeedStale` when revocation cannot be checked, `CredentialInvalid`, `CredentialRevoked`.
        """
        principal = self.authenticate(token)
        self._point.require_current(principal.epochs)
        return principal

    def authenticate(self, token: str) -> Principal:
        """Return whom the token names: the signature is good, and whether it was revoked is still to be asked.

        Raises `FeedStale`, `CredentialInvalid`.
        """
        self._point.require_fresh()
        now = self._clock.now()
        if self._generation != self._point.key_generation:
            self._verified.clear()  # a key may have been retired
            self._forged.clear()  # or have come that made the signature
            self._generation = self._point.key_generation
        principal = self._verified.get(token)
        if principal is None:
            principal = self._verify(token, now)
        elif principal.expires_at <= now:
            raise _invalid("expired")
        return principal

    def _verify(self, token: str, now: datetime) -> Principal:
        if token in self._forged:
            raise _invalid("signature")
        try:
            principal = _principal(verify(token, self._point.keys, issuer=self._issuer, audience=AUDIENCE, now=now))
        except TokenInvalid as error:
            if error.reason == "signature":
                self._forged[token] = None
                if len(self._forged) > FORGED:
                    self._forged.popitem(last=False)
            raise _invalid(error.reason) from None
        self._verified[token] = principal
        if len(self._verified) > CACHED:
            self._verified.popitem(last=False)
        return principal


def _invalid(reason: str) -> CredentialInvalid:
    return CredentialInvalid(reason=reason, headers=_challenge("invalid_token"))


def _challenge(error: str | None = None) -> dict[str, str]:
    return {"WWW-Authenticate": 'Bearer realm="xindun"' + (f', error="{error}"' if error else "")}


def _principal(claims: dict[str, Any]) -> Principal:
    """Build the principal; a token that we signed and cannot read is as invalid as a foreign one."""
    try:
        kind, _, identifier = claims["sub"].partition(":")
        if kind not in ("account", "system", "service"):
            raise ValueError(kind)
        epochs = {claims["sub"]: int(claims["epc"])}
        unit = UUID(claims["unit"]) if "unit" in claims else None
        if unit:
            epochs[f"unit:{unit}"] = int(claims["uepc"])
        session = UUID(claims["sid"]) if "sid" in claims else None
        if session:
            epochs[f"session:{session}"] = 0
        return Principal(
            kind=kind,
            id=identifier,
            unit=unit,
            unit_kind=UnitKind(claims["uknd"]) if "uknd" in claims else None,
            permissions=frozenset(claims["perms"]),
            session=session,
            epochs=epochs,
            expires_at=datetime.fromtimestamp(claims["exp"], tz=UTC),
            probe=UUID(claims["probe"]) if "probe" in claims else None,
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise TokenInvalid("claims") from None


def bearer_token(request: Request) -> str:
    """Return the bearer token of a request. Raises `Unauthorized`."""
    return bearer_token_in(request.scope["headers"])


def bearer_token_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the bearer token in a request's headers (RFC 6750 §2.1). Raises `Unauthorized`."""
    found = [value for name, value in headers if name == b"authorization"]
    if len(found) != 1:
        raise Unauthorized(headers=_challenge())
    scheme, _, token = found[0].decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(headers=_challenge())
    return token


def client_ip(request: Request) -> str:
    """Return the network address from which the caller reached the platform."""
    return request.client.host if request.client else ""


class Requires(SecurityBase):
    """A dependency that lets in whoever holds `permission` (None: any valid credential).

    `class_a` marks an act that reads credit data, opens it, or widens somebody's access: refused while nobody could
    revoke. `probes` says that a probe credential may knock here.
    """

    def __init__(self, permission: str | None, *, class_a: bool = False, probes: bool = False) -> None:
        if permission is not None and permission not in PERMISSIONS:
            raise ValueError(f"unknown permission {permission!r}")
        self.permission, self.class_a, self.probes = permission, class_a, probes
        self.model = HTTPBearerModel(bearerFormat="JWT")
        self.scheme_name = "bearer"

    async def __call__(self, request: Request, runtime: RuntimeDep) -> Principal:
        """Return the principal. Raises `FeedStale`, `CredentialInvalid`, `CredentialRevoked`, `RevokerSilent`, `Forbidden`."""
        verifier: Verifier = runtime.parts["verifier"]
        principal = verifier.authenticate(bearer_token(request))
        request_state(
            request.scope
        ).principal = principal  # before the question, so that its refusal is recorded with a name
        bind_actor(actor=principal.subject, unit=str(principal.unit) if principal.unit else None)
        runtime.point.require_current(principal.epochs)
        if principal.probe and not self.probes:
            raise ProbeRefused
        if self.class_a:
            runtime.point.require_revoker()
        if self.permission is not None and not principal.has(self.permission):
            raise MissingPermission(clause=PERMISSIONS[self.permission].clause, permission=self.permission)
        return principal


def requires(permission: str | None, *, class_a: bool = False, probes: bool = False) -> Any:
    """Return the second half of a permission type.

    `CanRevokeAccounts = Annotated[Principal, requires("accounts.revoke")]`
    """
    return Depends(Requires(permission, class_a=class_a, probes=probes))


class _AnonymousAccess:
    """Marks an endpoint that needs no credential, so that one without either is a mistake that a test finds."""

    async def __call__(self, _: Request) -> None:
        """Let every request pass."""


def is_anonymous(call: object) -> bool:
    """Whether a dependency is the mark of `Anonymous`."""
    return isinstance(call, _AnonymousAccess)


Anonymous = Annotated[None, Depends(_AnonymousAccess())]
"""The type of an endpoint's parameter that says: everybody may ask this."""
