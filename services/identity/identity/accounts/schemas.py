"""Bodies of the account endpoints."""

import unicodedata
from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from identity.accounts.models import Account
from identity.accounts.service import IssuedInvitation
from identity.acknowledgements.schemas import EffectivenessResponse


def _visible(name: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if len(name) < 2 or any(unicodedata.category(char).startswith("C") for char in name):  # noqa: PLR2004 - as bounded
        raise ValueError("a name has 2 to 100 visible characters")
    return name


Login = Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{2,63}$")]
PersonName = Annotated[str, Field(min_length=2, max_length=100), AfterValidator(_visible)]


class InvitationRequest(BaseModel):
    """A person of the caller's unit; only a keyed digest of the ID number is stored."""

    model_config = ConfigDict(extra="forbid")
    name: PersonName
    login: Login
    id_number: Annotated[SecretStr, Field(min_length=15, max_length=20)]


class AdministratorInvitationRequest(InvitationRequest):
    """The administrator of a using unit."""

    unit_id: UUID


class InvitationResponse(BaseModel):
    """The account, and the activation code: shown once, for the inviter to hand to the person."""

    account_id: UUID
    login: str
    activation_code: str
    expires_at: datetime

    @classmethod
    def of(cls, invited: IssuedInvitation) -> Self:
        """Build from the outcome."""
        return cls(
            account_id=invited.account.id,
            login=invited.account.login,
            activation_code=invited.code,
            expires_at=invited.expires_at,
        )


class ActivationRequest(BaseModel):
    """First step: the activation code and the new password."""

    model_config = ConfigDict(extra="forbid")
    login: Login
    code: Annotated[SecretStr, Field(min_length=8, max_length=64)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=128)]


class ActivationChallengeResponse(BaseModel):
    """The second factor: shown once, in effect when its first code confirms it."""

    totp_secret: str
    otpauth_uri: str
    expires_at: datetime


class ActivationConfirmRequest(BaseModel):
    """Second step: the first code of the second factor."""

    model_config = ConfigDict(extra="forbid")
    login: Login
    code: Annotated[SecretStr, Field(min_length=8, max_length=64)]
    totp: Annotated[str, Field(pattern="^[0-9]{6}$")]


class AccountResponse(BaseModel):
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


class SuspensionResponse(BaseModel):
    """An open suspension."""

    cause: str
    reason: str
    begun_at: datetime


class AccountDetailResponse(AccountResponse):
    """An account with its open suspensions."""

    suspensions: list[SuspensionResponse]


class AccountEffectResponse(BaseModel):
    """The account, and how far the end of its credentials has taken effect."""

    account: AccountResponse
    effective: EffectivenessResponse
