"""The private keys of this process, and the one that signs."""

import re
import time

from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.tokens import InvalidKeyError, SigningKey
from identity.signing.models import PublishedKey
from identity.signing.problems import SigningKeyMissing

PEM_BLOCK = re.compile(r"-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----\s*")


class SigningKeys:
    """Keys of one PEM text, the oldest first; `current` is the newest one that every enforcement point knows."""

    def __init__(self, pem: str) -> None:
        """Raises `InvalidKeyError` also for a text that ends in the middle of a key."""
        blocks = PEM_BLOCK.findall(pem)
        if not blocks or "".join(blocks) != pem.lstrip():
            raise InvalidKeyError("not one or several unencrypted PEM of private keys")
        self.own = {key.kid: key for key in map(SigningKey.from_pem, blocks)}
        self._current: SigningKey | None = None
        self._on_feed_since: dict[str, float] = {}

    @property
    def current(self) -> SigningKey:
        """The key that signs now. Raises `SigningKeyMissing`."""
        if self._current is None:
            raise SigningKeyMissing
        return self._current

    def ready(self) -> bool:
        """Whether a key signs now."""
        return self._current is not None

    def use(self, kid: str | None) -> None:
        """Sign with `kid` from now on."""
        self._current = self.own[kid] if kid else None

    def newest_usable(self, rows: dict[str, PublishedKey], point: EnforcementPoint) -> str | None:
        """Return the newest own key with which tokens may be signed.

        A key signs its first token after it was on the feed for the bound. By then every enforcement point has read it, or
        refuses everything.
        """
        now, usable = time.monotonic(), None
        for kid in self.own:
            row = rows.get(kid)
            if row is None or row.retired_at or kid not in point.keys:
                self._on_feed_since.pop(kid, None)
                continue
            on_feed_for = now - self._on_feed_since.setdefault(kid, now)
            if row.signs_from or on_feed_for > point.bound():
                usable = kid
        return usable
