"""An account, and the invitation that leads to it."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.base import BigInt
from identity.accounts.problems import AccountStep
from identity.suspensions.models import Suspendable
from identity.tables import Base


class AccountState(StrEnum):
    """`suspended` while any suspension is open; `revoked` is final."""

    INVITED = "invited"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Account(Suspendable, Base):
    """One person's account; `person` is the keyed digest of the ID number."""

    TRANSITIONS: ClassVar = {
        AccountState.INVITED: frozenset({AccountState.ACTIVE, AccountState.SUSPENDED, AccountState.REVOKED}),
        AccountState.ACTIVE: frozenset({AccountState.SUSPENDED, AccountState.REVOKED}),
        AccountState.SUSPENDED: frozenset({AccountState.ACTIVE, AccountState.INVITED, AccountState.REVOKED}),
        AccountState.REVOKED: frozenset(),
    }
    KIND: ClassVar = "account"
    SUSPENDED: ClassVar = AccountState.SUSPENDED
    STEP_PROBLEM: ClassVar = AccountStep

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("id", "unit_id"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    unit_id: Mapped[UUID] = mapped_column(ForeignKey("units.id"))
    name: Mapped[str]
    login: Mapped[str]
    person: Mapped[bytes]
    invited_at: Mapped[datetime]
    invited_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    state: Mapped[AccountState] = mapped_column(Text, default=AccountState.INVITED)
    password_hash: Mapped[str | None] = mapped_column(default=None, repr=False)
    totp_secret: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    totp_step: Mapped[BigInt | None] = mapped_column(default=None)
    activated_at: Mapped[datetime | None] = mapped_column(default=None)
    revoked_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def reinstated_state(self) -> AccountState:
        """The state to which it returns once the last suspension is lifted."""
        return AccountState.ACTIVE if self.activated_at else AccountState.INVITED

    @property
    def totp_context(self) -> str:
        """Encryption context of its second factor."""
        return f"account/{self.id}/totp"

    def activate(self, at: datetime, password_hash: str, totp_secret: bytes, step: int) -> None:
        """Activate the account with its two factors. Raises `AccountStep`."""
        self.move_to(AccountState.ACTIVE)
        self.activated_at, self.password_hash, self.totp_secret, self.totp_step = at, password_hash, totp_secret, step

    def revoke(self, at: datetime) -> None:
        """Revoke the account and delete its factors. Raises `AccountStep`."""
        self.move_to(AccountState.REVOKED)
        self.revoked_at, self.password_hash, self.totp_secret = at, None, None


class Invitation(Base):
    """One activation code; between the two steps of an activation, it holds the unconfirmed factors."""

    __tablename__ = "invitations"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id"))
    code_hash: Mapped[bytes] = mapped_column(unique=True, repr=False)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    invited_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"))
    post_id: Mapped[UUID | None] = mapped_column(ForeignKey("posts.id"))
    password_hash: Mapped[str | None] = mapped_column(default=None, repr=False)
    totp_secret: Mapped[bytes | None] = mapped_column(default=None, repr=False)
    ended_at: Mapped[datetime | None] = mapped_column(default=None)

    def end(self, at: datetime) -> None:
        """End the code, and delete the unconfirmed factors."""
        self.ended_at, self.password_hash, self.totp_secret = at, None, None
