"""Authenticated clients of the introspection endpoint, cached like tokens: until a cutoff or the end of a term.

Whatever ends a client (suspension of it or its unit, a new secret, decommissioning) raises an epoch in the same
transaction. One statement reads secret, state and epochs. So a client that was read before that transaction carries an
epoch below its cutoff, and ends with the tokens of the same time.
"""

from collections import OrderedDict
from datetime import datetime

from identity.tokens.queries import Client

MAX_CACHED_CLIENTS = 10_000

ClientKey = tuple[str, bytes, str]
"""Client id, digest of the secret, network address."""


class ClientCache:
    """The clients that this process has authenticated, least recently added first."""

    def __init__(self) -> None:
        self._clients: OrderedDict[ClientKey, tuple[Client, datetime]] = OrderedDict()

    def get(self, key: ClientKey, now: datetime) -> Client | None:
        """Return the client, None when it is not cached or its term is over."""
        client, until = self._clients.get(key, (None, now))
        return client if until > now else None

    def put(self, key: ClientKey, client: Client, until: datetime) -> None:
        """Cache a client until `until`; the oldest entry makes room."""
        self._clients[key] = client, until
        if len(self._clients) > MAX_CACHED_CLIENTS:
            self._clients.popitem(last=False)

    def remove(self, key: ClientKey) -> None:
        """Remove a client, if it is cached."""
        self._clients.pop(key, None)
