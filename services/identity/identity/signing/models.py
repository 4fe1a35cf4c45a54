"""Verification keys, as published on the feed."""

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.contracts.policies import POLICIES
from identity.tables import Base

SIGNING_LEASE = timedelta(seconds=60)
"""How long ahead a process records that it may sign with a key."""
MAX_TOKEN_TERM = timedelta(seconds=max(POLICIES[name].most for name in ("access-token-term", "probe-term")))
"""Maximum lifetime of an access token under any policy version."""


class PublishedKey(Base):
    """A verification key that was published on the feed.

    `signs_from`: since when processes sign with it. `needed_until`: when the last token that it signed expires; each process
    that signs with it extends this ahead of time.
    """

    __tablename__ = "published_keys"

    kid: Mapped[str] = mapped_column(primary_key=True)
    jwk: Mapped[dict[str, object]] = mapped_column(JSONB)
    published_at: Mapped[datetime] = mapped_column(server_default=func.now())
    signs_from: Mapped[datetime | None] = mapped_column(default=None)
    needed_until: Mapped[datetime | None] = mapped_column(default=None)
    retired_at: Mapped[datetime | None] = mapped_column(default=None)
    retired_by: Mapped[str | None] = mapped_column(default=None)
    retired_for: Mapped[str | None] = mapped_column(default=None)

    def signs(self, now: datetime) -> bool:
        """Whether some process may sign with it now."""
        return self.needed_until is not None and not self.retired_at and self.needed_until - MAX_TOKEN_TERM > now

    def needed(self, now: datetime) -> bool:
        """Whether a token that it signed may be in force."""
        return self.needed_until is not None and not self.retired_at and self.needed_until > now

    def has_lease(self, now: datetime) -> bool:
        """Whether its lease has at least half of its term left."""
        return self.signs(now + SIGNING_LEASE / 2)

    def extend_lease(self, now: datetime) -> None:
        """Record ahead that a process signs with it."""
        self.signs_from = self.signs_from or now
        self.needed_until = now + SIGNING_LEASE + MAX_TOKEN_TERM

    def retire(self, now: datetime, by: str, reason: str) -> None:
        """Retire the key."""
        self.retired_at, self.retired_by, self.retired_for = now, by, reason
