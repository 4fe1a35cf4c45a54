"""Bodies of the session endpoints."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from common.enforcement.permissions import UnitKind
from identity.sessions.service import SessionTokens


class SignInRequest(BaseModel):
    """Both factors. A malformed login gets the same answer as an unknown one."""

    model_config = ConfigDict(extra="forbid")
    login: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[SecretStr, Field(min_length=1, max_length=128)]
    totp: Annotated[str, Field(pattern="^[0-9]{6}$")]


class RefreshRequest(BaseModel):
    """A refresh token; the request uses it up."""

    model_config = ConfigDict(extra="forbid")
    refresh_token: Annotated[SecretStr, Field(min_length=16, max_length=128)]


class SessionTokensResponse(BaseModel):
    """The tokens of a session; `expires_in` in seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the word of RFC 6750
    expires_in: int
    refresh_token: str
    session_id: UUID
    session_expires_at: datetime
    permissions: list[str]

    @classmethod
    def of(cls, tokens: SessionTokens) -> Self:
        """Build from the outcome."""
        return cls(
            access_token=tokens.access.token,
            expires_in=tokens.access.expires_in,
            refresh_token=tokens.refresh,
            session_id=tokens.session.id,
            session_expires_at=tokens.session.expires_at,
            permissions=tokens.permissions,
        )


class CallerUnitResponse(BaseModel):
    """The caller's unit."""

    id: UUID
    name: str
    kind: UnitKind
    state: str


class CallerAppointmentResponse(BaseModel):
    """A current appointment of the caller."""

    id: UUID
    post: str
    until: datetime | None


class AccessConditionsResponse(BaseModel):
    """Conditions for access to credit data (clauses 6.1, 6.2): training, undertaking, current posts."""

    trained_until: datetime | None
    training_current: bool
    undertaking_signed: bool
    appointments: list[CallerAppointmentResponse]


class CallerResponse(BaseModel):
    """The caller; `standing` for people only. `origin`: the network address."""

    subject: str
    kind: Literal["account", "system", "service"]
    id: str
    name: str | None
    state: str | None
    unit: CallerUnitResponse | None
    permissions: list[str]
    origin: str
    expires_at: datetime
    standing: AccessConditionsResponse | None
