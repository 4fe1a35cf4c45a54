"""Verification keys, as they went to the feed."""

from datetime import datetime, timedelta

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.contracts.policies import POLICIES
from identity.tables import Base

LEASE = timedelta(seconds=60)
"""How long ahead a process says that it may sign with a key."""
MAX_TOKEN_TERM = timedelta(seconds=max(POLICIES[name].most for name in ("access-token-term", "probe-term")))
"""The longest that any access token lasts, whatever the authority rules."""


class PublishedKey(Base):
    """A verification key that went to the feed.

    `signs_from`: since when tokens are signed with it. `needed_until`: when the last one of them has expired, for all
    that is known; a process that signs with it says so ahead of time.
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
        """Whether a token that is signed with it may be in force."""
        return self.needed_until is not None and not self.retired_at and self.needed_until > now

    def signs_on(self, now: datetime) -> bool:
        """Whether it is known that some process may sign with it for a while."""
        return self.signs(now + LEASE / 2)

    def sign_on(self, now: datetime) -> None:
        """Say ahead that a process signs with it."""
        self.signs_from = self.signs_from or now
        self.needed_until = now + LEASE + MAX_TOKEN_TERM

    def retire(self, now: datetime, by: str, reason: str) -> None:
        """End it."""
        self.retired_at, self.retired_by, self.retired_for = now, by, reason
