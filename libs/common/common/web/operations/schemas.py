"""Bodies of what operators see and do on every service."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["DatabaseStatus", "DeadLetter", "DropRequest", "InboxStatus", "PointStatus", "RelayStatus", "ServiceStatus"]


class DeadLetter(BaseModel):
    """A foreign event that this service could not apply."""

    message_id: UUID
    topic: str
    key: str
    type: str
    attempts: int
    error: str | None
    received_at: datetime


class DropRequest(BaseModel):
    """Why a dead letter may stay without effect."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=4, max_length=500)]


class DatabaseStatus(BaseModel):
    """Whether the database answers, and as which role."""

    answers: bool
    role: str | None


class RelayStatus(BaseModel):
    """What waits to be published; `holder` is the instance whose relay is at work. Ages in seconds."""

    unpublished: int
    oldest_age: float
    last_published: int
    holder: str | None


class InboxStatus(BaseModel):
    """Foreign events that wait for another attempt, or for an operator."""

    waiting: int
    dead: int
    oldest_age: float


class PointStatus(BaseModel):
    """The enforcement point of this instance. `age`: seconds since the bus confirmed that it stands at the feed's end."""

    name: str
    fresh: bool
    age: float | None
    bound: float
    cutoffs: int
    keys: int
    revoker_age: float | None


class ServiceStatus(BaseModel):
    """One instance at a glance; without its database `relay` and `inbox` are not known. `inbox` null: it has none."""

    service: str
    instance: str
    version: str
    started_at: datetime
    now: datetime
    database: DatabaseStatus
    delivering: bool
    checks: dict[str, bool]
    relay: RelayStatus | None
    inbox: InboxStatus | None
    point: PointStatus
