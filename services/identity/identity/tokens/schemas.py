"""Bodies of the token endpoint."""

from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel


class TokenResponse(BaseModel):
    """RFC 6749 §5.1; `expires_in` in seconds; `refresh_token` for people only."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the word of RFC 6750
    expires_in: int
    refresh_token: str | None = None


class IntrospectionResponse(BaseModel):
    """RFC 7662 §2.2: without `active`, nothing else. `sub` is `system:<id>` or `account:<id>`, `exp` in Unix seconds.

    `client_id` is the id of the system; a person's token has none.
    """

    active: bool
    token_type: Literal["Bearer"] | None = None
    iss: str | None = None
    sub: str | None = None
    client_id: str | None = None
    unit: UUID | None = None
    exp: int | None = None


class AuthorizationServerResponse(BaseModel):
    """RFC 8414 §2: endpoints and authentication methods. The endpoints begin with the issuer."""

    issuer: str
    token_endpoint: str
    introspection_endpoint: str
    jwks_uri: str
    grant_types_supported: list[str]
    response_types_supported: list[str]
    token_endpoint_auth_methods_supported: list[str]
    introspection_endpoint_auth_methods_supported: list[str]


class JwksResponse(BaseModel):
    """RFC 7517 §5."""

    keys: list[dict[str, Any]]
