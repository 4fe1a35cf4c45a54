"""Bodies of the token endpoint."""

from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["Jwks", "TokenAnswer"]


class TokenAnswer(BaseModel):
    """RFC 6749 §5.1; `expires_in` in seconds; `refresh_token` for people only."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the word of RFC 6750
    expires_in: int
    refresh_token: str | None = None


class Jwks(BaseModel):
    """RFC 7517 §5."""

    keys: list[dict[str, Any]]
