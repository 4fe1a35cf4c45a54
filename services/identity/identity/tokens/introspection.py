"""Token introspection (RFC 7662): a connected system asks whether an access token that it received is active.

The caller is a connected system in good standing, from its registered network, with its client credentials. It may ask
about tokens of its own unit and of other units' systems. Their content is readable in the token anyway; it also learns
that they are active. Another unit's person token, and any probe credential, is answered as inactive (P5).

An inactive token gets `{"active": false}` and nothing else: malformed, foreign, expired, revoked and hidden tokens look
the same. While revocations cannot be checked, the answer is 503: this is an enforcement point like all others.

A successful call is not recorded: it changes nothing and reads no credit data, and the token's issue is on record.
Failed client authentication is recorded.
"""

from datetime import timedelta
from typing import Any

from prometheus_client import Counter

from common.enforcement.enforcement_point import CredentialRevoked
from common.enforcement.principals import Principal
from common.enforcement.verifier import CredentialInvalid
from identity.runtime import Runtime
from identity.tokens.queries import Client, get_client
from identity.tokens.service import parse_client_id, require_usable, secret_digest

INTROSPECTED = Counter("xindun_tokens_introspected_total", "Tokens asked about", ["active"])

CLIENT_CACHE_TERM = timedelta(minutes=1)
"""After this, a cached client is read again, with or without a cutoff."""


async def _authenticate(runtime: Runtime, client_id: str, secret: str, origin: str) -> Client:
    """Return the client that asks. Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`, `FeedStale`."""
    runtime.point.require_fresh()
    digest = secret_digest(secret)
    key, now = (client_id, digest, origin), runtime.clock.now()
    client = runtime.client_cache.get(key, now)
    if client is None or not _current(runtime, client):
        runtime.client_cache.remove(key)
        client = require_usable(await get_client(runtime.database, parse_client_id(client_id), digest, origin), origin)
        runtime.client_cache.put(key, client, now + CLIENT_CACHE_TERM)
    return client


def _current(runtime: Runtime, client: Client) -> bool:
    try:
        runtime.point.require_current(client.epochs)
    except CredentialRevoked:
        return False
    return True


async def introspect(runtime: Runtime, *, client_id: str, secret: str, origin: str, token: str) -> dict[str, Any]:
    """Return the members of RFC 7662 §2.2 that the asking system may know of `token`. Clauses 5d.3, 6.5.

    Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`, `FeedStale`.
    """
    client = await _authenticate(runtime, client_id, secret, origin)
    try:
        principal = runtime.verifier.authenticate_and_check_revocation(token)
    except (CredentialInvalid, CredentialRevoked):
        principal = None
    if principal is None or not _may_ask(principal, client):
        INTROSPECTED.labels("false").inc()
        return {"active": False}
    INTROSPECTED.labels("true").inc()
    return {
        "active": True,
        "token_type": "Bearer",
        "iss": runtime.settings.issuer,
        "sub": principal.subject,
        "unit": str(principal.unit),
        "exp": int(principal.expires_at.timestamp()),
    } | ({"client_id": principal.id} if principal.kind == "system" else {})


def _may_ask(principal: Principal, client: Client) -> bool:
    """Whether the client may learn about a token of `principal`."""
    if principal.probe or principal.unit is None:
        return False
    return principal.kind == "system" or principal.unit == client.unit_id
