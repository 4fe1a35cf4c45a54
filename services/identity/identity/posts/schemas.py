"""Bodies of the post and appointment endpoints."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from common.web.timestamps import Timestamp
from identity.acknowledgements.schemas import EffectivenessResponse
from identity.posts.models import Appointment, Post


class PostResponse(BaseModel):
    """A post with its permissions."""

    id: UUID
    unit_id: UUID
    name: str
    title: str
    permissions: list[str]

    @classmethod
    def of(cls, post: Post) -> Self:
        """Build from a row."""
        return cls.model_validate(post, from_attributes=True)


class PostRequest(BaseModel):
    """A new post of the caller's unit, with permissions that its kind may give."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{2,63}$")]
    title: Annotated[str, Field(min_length=2, max_length=100)]
    permissions: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=100)]


class AppointmentResponse(BaseModel):
    """An appointment."""

    id: UUID
    account_id: UUID
    post_id: UUID
    post: str
    permissions: list[str]
    made_by: UUID | None
    made_at: datetime
    until: datetime | None
    ended_at: datetime | None
    reason: str | None

    @classmethod
    def of(cls, row: Appointment, post: Post) -> Self:
        """Build from the rows."""
        return cls(
            id=row.id,
            account_id=row.account_id,
            post_id=row.post_id,
            post=post.name,
            permissions=post.permissions,
            made_by=row.made_by,
            made_at=row.made_at,
            until=row.until,
            ended_at=row.ended_at,
            reason=row.reason,
        )


class AppointmentRequest(BaseModel):
    """The account and the post; without `until`, the appointment lasts until it is ended."""

    model_config = ConfigDict(extra="forbid")
    account_id: UUID
    post_id: UUID
    until: Timestamp | None = None


class AppointmentEffectResponse(BaseModel):
    """The appointment, and since when and where its permissions are refused."""

    appointment: AppointmentResponse
    effective: EffectivenessResponse
