"""Bodies of the account endpoints."""

import unicodedata
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from identity.accounts.models import Account
from identity.accounts.service import Invited
from identity.cutoffs.schemas import EffectivenessView

__all__ = [
    "AccountDetail",
    "AccountView",
    "Activation",
    "ActivationChallenge",
    "Confirmation",
    "InvitedView",
    "Invitee",
    "Login",
    "NewAdministrator",
    "Reason",
    "SuspendedAccount",
    "SuspensionView",
]


def _visible(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if len(name) < 2 or any(unicodedata.category(char).startswith("C") for char in name):  # noqa: PLR2004 - as bounded
        raise ValueError("a name has 2 to 100 visible characters")
    return name


Login = Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{2,63}$")]
PersonName = Annotated[str, Field(min_length=2, max_length=100), AfterValidator(_visible)]


class Invitee(BaseModel):
    """A person of the own unit; the ID number is kept as a keyed digest only."""

    model_config = ConfigDict(extra="forbid")
    name: PersonName
    login: Login
    id_number: Annotated[SecretStr, Field(min_length=15, max_length=20)]


class NewAdministrator(Invitee):
    """The administrator of a using unit."""

    unit_id: UUID


class InvitedView(BaseModel):
    """The account, and the activation code: shown this once, to be handed to the person."""

    account_id: UUID
    login: str
    activation_code: str
    expires_at: datetime

    @classmethod
    def of(cls, invited: Invited) -> Self:
        """Build from the outcome."""
        return cls(
            account_id=invited.account.id,
            login=invited.account.login,
            activation_code=invited.code,
            expires_at=invited.expires_at,
        )


class Activation(BaseModel):
    """First step: the code and the password to be."""

    model_config = ConfigDict(extra="forbid")
    login: Login
    code: Annotated[SecretStr, Field(min_length=8, max_length=64)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=128)]


class ActivationChallenge(BaseModel):
    """The second factor: shown this once, in effect when its first code confirms it."""

    totp_secret: str
    otpauth_uri: str
    expires_at: datetime


class Confirmation(BaseModel):
    """Second step: the first code of the second factor."""

    model_config = ConfigDict(extra="forbid")
    login: Login
    code: Annotated[SecretStr, Field(min_length=8, max_length=64)]
    totp: Annotated[str, Field(pattern="^[0-9]{6}$")]


class AccountView(BaseModel):
    """An account."""

    id: UUID
    unit_id: UUID
    name: str
    login: str
    state: str
    invited_at: datetime
    activated_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, account: Account) -> Self:
        """Build from a row."""
        return cls.model_validate(account, from_attributes=True)


class SuspensionView(BaseModel):
    """What holds it."""

    cause: str
    reason: str
    begun_at: datetime


class AccountDetail(AccountView):
    """An account with what holds it suspended."""

    suspensions: list[SuspensionView]


class Reason(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=2, max_length=200)]


class SuspendedAccount(BaseModel):
    """The account, and since when and where its credentials are refused."""

    account: AccountView
    effective: EffectivenessView
