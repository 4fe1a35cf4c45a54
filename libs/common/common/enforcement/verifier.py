"""Verifies access tokens at one enforcement point and returns their principals.

Every service verifies every credential itself: what the gateway accepted proves nothing here.
"""

from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from common.clock import Clock
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.enforcement.tokens import InvalidTokenError, verify
from common.problems import Unauthorized

AUDIENCE = "xindun"
MAX_CACHED_PRINCIPALS = 10_000
"""Verified tokens cached per process: a second use costs a dictionary lookup and the cutoff check."""
MAX_CACHED_FORGERIES = 1_000
"""Tokens with a false signature, cached so that a repeat costs no verification; at most 4 KiB each."""


class CredentialInvalid(Unauthorized):
    """401: the token does not prove anything; `reason` says why."""

    slug = "credential-invalid"
    zh, en = "凭证无效", "The credential is not valid"


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
        except InvalidTokenError as error:
            if error.reason == "signature":
                self._forged[token] = None
                if len(self._forged) > MAX_CACHED_FORGERIES:
                    self._forged.popitem(last=False)
            raise _invalid(error.reason) from None
        self._verified[token] = principal
        if len(self._verified) > MAX_CACHED_PRINCIPALS:
            self._verified.popitem(last=False)
        return principal


def _invalid(reason: str) -> CredentialInvalid:
    return CredentialInvalid(reason=reason, headers=challenge("invalid_token"))


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
        raise InvalidTokenError("claims") from None


def challenge(error: str | None = None) -> dict[str, str]:
    """Return the `WWW-Authenticate` header of a refusal (RFC 6750 §3)."""
    return {"WWW-Authenticate": 'Bearer realm="xindun"' + (f', error="{error}"' if error else "")}
