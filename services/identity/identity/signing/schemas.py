"""Bodies of the signing key endpoints."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from identity.signing.models import PublishedKey


class SigningKeyResponse(BaseModel):
    """A key: `published` (not used yet), `signs`, `verifies` (older tokens only), or `retired`."""

    kid: str
    state: Literal["published", "signs", "verifies", "retired"]
    published_at: datetime
    signs_from: datetime | None
    needed_until: datetime | None
    retired_at: datetime | None
    retired_by: str | None
    retired_for: str | None

    @classmethod
    def of(cls, row: PublishedKey, now: datetime) -> Self:
        """Build from the row."""
        state = (
            "retired"
            if row.retired_at
            else "published"
            if row.signs_from is None
            else "signs"
            if row.signs(now)
            else "verifies"
        )
        return cls.model_validate(
            {**{name: getattr(row, name) for name in cls.model_fields if name != "state"}, "state": state}
        )


class RetireKeyRequest(BaseModel):
    """Why a key is retired; `leaked`: at once, with all tokens that it signed."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=4, max_length=500)]
    leaked: bool = False


class RetiredKeyResponse(BaseModel):
    """The key, and since when no enforcement point accepts its tokens; null: the bus did not take the retirement yet."""

    key: SigningKeyResponse
    effective_at: datetime | None
