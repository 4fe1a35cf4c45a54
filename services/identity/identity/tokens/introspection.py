"""Says whether an access token is alive, to whoever received one (RFC 7662).

**Who may ask:** a connected system in good standing, from its registered network, by its client credentials; nobody else.
It asks about a token that was shown to it: its own unit's, or one of another unit's system, a partner's. Of both it
learns what it can read in the token anyway, and that it is alive now. A person's token is nothing that another unit
should hold, so to that unit it is no token (P5). Neither is a probe credential, to anybody: it opens nothing, and whether
it would be refused is for incident alone to try.

**What is not alive** is answered `{"active": false}` alone: malformed, of another issuer, expired, revoked or hidden look
the same. Nothing is said at all while revocations cannot be checked (503): this is an enforcement point like all others.

**Not on record:** it changes nothing and reads no credit data, and the token that it speaks of was already recorded when
it was issued. Who fails to prove who asks is refused, and that is on record.
"""

from datetime import timedelta
from typing import Any

from prometheus_client import Counter

from common.enforcement.enforcement_point import CredentialRevoked
from common.enforcement.principals import Principal
from common.enforcement.verifier import CredentialInvalid
from identity.runtime import Runtime
from identity.tokens.queries import Client, get_client
from identity.tokens.service import digest_of, id_of, require_usable

__all__ = ["introspect"]

INTROSPECTED = Counter("xindun_tokens_introspected_total", "Tokens asked about", ["active"])

CLIENT_CACHE_TERM = timedelta(minutes=1)
"""After this, a cached client is read again, whatever the feed has brought."""


async def _authenticate(runtime: Runtime, client_id: str, secret: str, origin: str) -> Client:
    """Return the client that asks. Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`, `FeedStale`."""
    runtime.point.require_fresh()
    digest = digest_of(secret)
    key, now = (client_id, digest, origin), runtime.clock.now()
    client = runtime.client_cache.get(key, now)
    if client is None or not _current(runtime, client):
        runtime.client_cache.remove(key)
        client = require_usable(await get_client(runtime.database, id_of(client_id), digest, origin), origin)
        runtime.client_cache.put(key, client, now + CLIENT_CACHE_TERM)
    return client


def _current(runtime: Runtime, client: Client) -> bool:
    try:
        runtime.point.require_current(client.epochs)
    except CredentialRevoked:
        return False
    return True


async def introspect(runtime: Runtime, *, client_id: str, secret: str, origin: str, token: str) -> dict[str, Any]:
    """Return what the asking system may know of `token`, as RFC 7662 §2.2 writes it. Clauses 5d.3, 6.5.

    Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`, `FeedStale`.
    """
    client = await _authenticate(runtime, client_id, secret, origin)
    try:
        principal = runtime.verifier.authenticate_and_check_revocation(token)
    except (CredentialInvalid, CredentialRevoked):
        principal = None
    if principal is None or not _shown(principal, client):
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


def _shown(principal: Principal, client: Client) -> bool:
    """Whether a token of `principal` is a token to this client."""
    if principal.probe or principal.unit is None:
        return False
    return principal.kind == "system" or principal.unit == client.unit_id
