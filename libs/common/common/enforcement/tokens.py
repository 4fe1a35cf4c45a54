"""Access tokens: ES256 JWTs under the strictest reading of RFC 7515, 8725 and 9068; the only room that knows jose."""

import base64
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jose.backends import ECKey
from jose.exceptions import JWKError

_ALGORITHM = "ES256"
_TYPE = "at+jwt"
_LONGEST = 4096
_COORDINATE = 32
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""n of P-256 (NIST SP 800-186 §3.2.1.3): r and s of a signature lie in 1..n-1."""
_HEADER = frozenset({"typ", "alg", "kid"})
_LEEWAY = 5
"""Seconds that a clock may be behind the issuer's. None for `exp`: a term that has passed has no effect (7.6)."""
_LATEST = 1 << 40


class InvalidTokenError(Exception):
    """The token proves nothing; `reason` is a stable slug.

    One of malformed, algorithm, type, key-unknown, signature, claims, issuer, audience, expired, not-yet-valid.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidKeyError(ValueError):
    """Not a public or private key that may sign access tokens."""


class SigningKey:
    """A P-256 private key; `kid` is its thumbprint (RFC 7638)."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        if not isinstance(private.curve, ec.SECP256R1):
            raise InvalidKeyError("not a key on P-256")
        self._private = private
        self._key: Any = ECKey(private, _ALGORITHM)
        point = private.public_key().public_numbers()
        x, y = (_encode(value.to_bytes(_COORDINATE, "big")) for value in (point.x, point.y))
        members = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        self.kid = _encode(hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest())
        self.public_jwk = members | {"alg": _ALGORITHM, "use": "sig", "kid": self.kid}
        header = {"typ": _TYPE, "alg": _ALGORITHM, "kid": self.kid}
        self._header = _encode(json.dumps(header, separators=(",", ":")).encode())

    @classmethod
    def generate(cls) -> Self:
        """Make a new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def from_pem(cls, pem: str) -> Self:
        """Load an unencrypted PEM. Raises `InvalidKeyError`."""
        try:
            private = load_pem_private_key(pem.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise InvalidKeyError("not an unencrypted PEM of a private key") from error
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise InvalidKeyError("not a key on P-256")
        return cls(private)

    def to_pem(self) -> str:
        """Return the private key as PKCS #8, unencrypted: seal it before it is stored."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def jws(self, payload: bytes) -> str:
        """Return the compact JWS of `payload`."""
        signing_input = f"{self._header}.{_encode(payload)}"
        return f"{signing_input}.{_encode(self._key.sign(signing_input.encode()))}"


class KeySet:
    """The public keys whose tokens are accepted, by `kid`; each becomes a key object once, when it is added."""

    def __init__(self, *jwks: Mapping[str, Any]) -> None:
        self._keys: dict[str, tuple[dict[str, Any], Any]] = {}
        for jwk in jwks:
            self.add(jwk)

    def add(self, jwk: Mapping[str, Any]) -> None:
        """Accept this key's signatures from now on. Raises `InvalidKeyError`, also for another key under a known `kid`."""
        kid = jwk.get("kid")
        if not isinstance(kid, str) or not kid:
            raise InvalidKeyError("a key needs a kid")
        if "d" in jwk or jwk.get("kty") != "EC" or jwk.get("crv") != "P-256":
            raise InvalidKeyError("not a public key on P-256")
        # RFC 7517 §4.2 to §4.4: what a key says of its own use binds.
        if jwk.get("alg", _ALGORITHM) != _ALGORITHM or jwk.get("use", "sig") != "sig":
            raise InvalidKeyError("not a key for ES256 signatures")
        operations = jwk.get("key_ops", ["verify"])
        if not isinstance(operations, list) or "verify" not in operations:
            raise InvalidKeyError("not a key to verify with")
        public = {"kty": "EC", "crv": "P-256", "x": jwk.get("x"), "y": jwk.get("y")}
        if any(len(_decode(public[name]) or b"") != _COORDINATE for name in ("x", "y")):
            raise InvalidKeyError("a coordinate is not 32 octets in base64url")
        if kid in self._keys and any(self._keys[kid][0][name] != public[name] for name in ("x", "y")):
            raise InvalidKeyError("another key has this kid")
        try:
            key = ECKey(public, _ALGORITHM)
        except (JWKError, ValueError) as error:
            raise InvalidKeyError("not a point of P-256") from error
        self._keys[kid] = (public | {"alg": _ALGORITHM, "use": "sig", "kid": kid}, key)

    def remove(self, kid: str) -> None:
        """Accept no signature of this key from now on."""
        self._keys.pop(kid, None)

    def __contains__(self, kid: object) -> bool:
        """Whether signatures of this key are accepted."""
        return kid in self._keys

    def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return the set as RFC 7517 §5 publishes it."""
        return {"keys": [dict(jwk) for jwk, _ in self._keys.values()]}

    def verifies(self, kid: str, signing_input: bytes, signature: bytes) -> bool:
        """Say whether the key `kid` made this raw signature. Raises `InvalidTokenError` for a key that is not in the set."""
        known = self._keys.get(kid)
        if known is None:
            raise InvalidTokenError("key-unknown")
        return bool(known[1].verify(signing_input, signature))


def sign(key: SigningKey, claims: Mapping[str, Any]) -> str:
    """Return the access token of `claims`. Raises `ValueError` for claims that `verify` would not take."""
    try:
        _check_types(claims)
    except InvalidTokenError:
        raise ValueError("these claims make no access token") from None
    token = key.jws(json.dumps(claims, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode())
    if len(token) > _LONGEST:
        raise ValueError(f"a token is at most {_LONGEST} characters long")
    return token


def verify(token: str, keys: KeySet, *, issuer: str, audience: str, now: datetime) -> dict[str, Any]:
    """Return the claims of an access token that is in force at `now`. Raises `InvalidTokenError`. Clause 7.6."""
    if now.tzinfo is None:
        raise ValueError("a time without a zone is no time")
    header, payload = verify_jws(token, keys)
    if header.get("typ") != _TYPE:
        raise InvalidTokenError("type")
    claims = _parse(payload)
    _check_types(claims)
    if claims["iss"] != issuer:
        raise InvalidTokenError("issuer")
    audiences = claims["aud"]
    if audience != audiences and not (isinstance(audiences, list) and audience in audiences):
        raise InvalidTokenError("audience")
    instant = now.timestamp()
    if instant >= claims["exp"]:
        raise InvalidTokenError("expired")
    if instant + _LEEWAY < max(claims["nbf"], claims["iat"]):
        raise InvalidTokenError("not-yet-valid")
    return claims


def verify_jws(token: str, keys: KeySet) -> tuple[dict[str, Any], bytes]:
    """Return header and payload of a compact ES256 JWS signed by one of `keys`. Raises `InvalidTokenError`.

    The header has `alg`, `kid` and at most `typ`: whatever else it asks for (`crit`, `jwk`, `jku`, `x5c`, `b64` …) is
    refused unread. Each segment has its one canonical spelling, so that a signature fits one string only.
    """
    if not isinstance(token, str) or len(token) > _LONGEST or not token.isascii():
        raise InvalidTokenError("malformed")
    segments = token.split(".")
    if len(segments) != 3:  # noqa: PLR2004 - header, payload, signature (RFC 7515 §7.1)
        raise InvalidTokenError("malformed")
    head, payload, signature = map(_decode, segments)
    if head is None or payload is None or signature is None:
        raise InvalidTokenError("malformed")
    header = _parse(head)
    if header.get("alg") != _ALGORITHM:
        raise InvalidTokenError("algorithm")
    kid = header.get("kid")
    if not isinstance(kid, str) or not header.keys() <= _HEADER:
        raise InvalidTokenError("malformed")
    if len(signature) != 2 * _COORDINATE:
        raise InvalidTokenError("signature")
    r, s = (int.from_bytes(half, "big") for half in (signature[:_COORDINATE], signature[_COORDINATE:]))
    if not (0 < r < _ORDER and 0 < s < _ORDER):
        raise InvalidTokenError("signature")
    if not keys.verifies(kid, f"{segments[0]}.{segments[1]}".encode(), signature):
        raise InvalidTokenError("signature")
    return header, payload


def _check_types(claims: Mapping[str, Any]) -> None:
    for name in ("iss", "sub", "jti"):
        if not isinstance(claims.get(name), str) or not claims[name]:
            raise InvalidTokenError("claims")
    audiences = claims.get("aud")
    for audience in audiences if isinstance(audiences, list) and audiences else [audiences]:
        if not isinstance(audience, str) or not audience:
            raise InvalidTokenError("claims")
    for name in ("exp", "nbf", "iat"):
        # Whole seconds: a bool is an int to Python, and a float has no exact instant.
        if type(claims.get(name)) is not int or not 0 <= claims[name] < _LATEST:
            raise InvalidTokenError("claims")
    if not claims["nbf"] < claims["exp"] or not claims["iat"] < claims["exp"]:
        raise InvalidTokenError("claims")


def _parse(text: bytes) -> dict[str, Any]:
    """Return the JSON object in `text`: UTF-8, no member twice, no NaN."""
    try:
        value = json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise InvalidTokenError("malformed") from None
    if not isinstance(value, dict):
        raise InvalidTokenError("malformed")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member comes twice")
    return members


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _encode(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decode(segment: Any) -> bytes | None:
    """Return the octets of base64url without padding, None where `segment` is not their one canonical spelling."""
    if not isinstance(segment, str):
        return None
    try:
        octets = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        return None
    return octets if _encode(octets) == segment else None
