"""Sessions, refresh tokens, and failed sign-ins of a login."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Session(Base):
    """One sign-in with its refresh tokens, until `expires_at` or an earlier end."""

    __tablename__ = "sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    origin: Mapped[str]
    opened_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None] = mapped_column(default=None)
    reason: Mapped[str | None] = mapped_column(default=None)

    @property
    def subject(self) -> str:
        """The subject of its cutoff."""
        return f"session:{self.id}"

    def end(self, at: datetime, reason: str) -> None:
        """End the session; an ended session stays ended."""
        assert self.ended_at is None
        self.ended_at, self.reason = at, reason


class RefreshToken(Base):
    """A refresh token, stored as SHA-256 and used once."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class SignInAttempts(Base):
    """Consecutive failed attempts by the keyed digest of the login, whether the login exists or not.

    An attempt counts before its password is checked, so that parallel attempts do not exceed the limit.
    """

    __tablename__ = "sign_in_attempts"

    login: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]
