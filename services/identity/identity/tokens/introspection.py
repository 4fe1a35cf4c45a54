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

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter

from common.enforcement.authentication import CredentialInvalid, Principal, Verifier
from common.enforcement.enforcement_point import CredentialRevoked
from common.web.runtime import Runtime
from identity.tokens.queries import Client, client_of
from identity.tokens.service import admitted, digest_of, id_of

__all__ = ["Clients", "introspect"]

INTROSPECTED = Counter("xindun_tokens_introspected_total", "Tokens asked about", ["active"])

REMEMBERED = 10_000
"""Clients remembered per process."""
TERM = timedelta(minutes=1)
"""After which a remembered client is looked up again, whatever was heard of it."""


class Clients:
    """Clients that proved themselves, remembered like tokens: until a cutoff.

    Whatever ends a client (suspension of it or its unit, a new secret, decommissioning) raises an epoch in the same
    transaction. Secret, state and epochs were read in one statement, so what was read before that transaction carries an
    epoch below its cutoff, and falls with the tokens of the same time.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, bytes, str], tuple[Client, datetime]] = OrderedDict()

    async def authenticate(self, runtime: Runtime, client_id: str, secret: str, origin: str) -> Client:
        """Return who asks. Raises `InvalidClient`, `SystemNotUsable`, `OriginNotRegistered`, `FeedStale`."""
        runtime.point.require_fresh()
        digest = digest_of(secret)
        key, now = (client_id, digest, origin), runtime.clock.now()
        client, until = self._known.get(key, (None, now))
        if client is None or until <= now or not _current(runtime, client):
            self._known.pop(key, None)
            client = admitted(await client_of(runtime.database, id_of(client_id), digest, origin), origin)
            self._known[key] = (client, now + TERM)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
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
    clients: Clients = runtime.parts["clients"]
    verifier: Verifier = runtime.parts["verifier"]
    client = await clients.authenticate(runtime, client_id, secret, origin)
    try:
        principal = verifier.authenticate_and_check_revocation(token)
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
