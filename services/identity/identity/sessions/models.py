"""A session, its refresh tokens, and the failures of a login."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from identity.tables import Base


class Session(Base):
    """From one sign-in until `expires_at`, or until it ends before; the family of its refresh tokens."""

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
        """End it, for good: there is no way back."""
        assert self.ended_at is None
        self.ended_at, self.reason = at, reason


class RefreshToken(Base):
    """One refresh token, by its SHA-256; used once."""

    __tablename__ = "refresh_tokens"

    hash: Mapped[bytes] = mapped_column(primary_key=True, repr=False)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("sessions.id"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None] = mapped_column(default=None)


class SignInAttempts(Base):
    """Attempts in a row without success, by the keyed digest of the login: of unknown logins just as of known ones.

    An attempt counts before its password is checked, so that parallel attempts do not exceed the bound.
    """

    __tablename__ = "sign_in_attempts"

    login: Mapped[bytes] = mapped_column(primary_key=True)
    failures: Mapped[int]
    failed_at: Mapped[datetime]
