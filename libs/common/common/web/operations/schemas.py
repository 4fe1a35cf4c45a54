"""Request and response bodies of the operator routes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class DeadLetter(BaseModel):
    """An event of another service that this service could not apply."""

    message_id: UUID
    topic: str
    key: str
    type: str
    attempts: int
    error: str | None
    received_at: datetime


class DropRequest(BaseModel):
    """The reason to drop a dead letter."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=4, max_length=500)]


class DatabaseStatus(BaseModel):
    """Whether the database answers, and the role of the session."""

    answers: bool
    role: str | None


class RelayStatus(BaseModel):
    """Outbox rows that wait for publication; `holder` is the instance whose relay is active. Ages in seconds."""

    unpublished: int
    oldest_age: float
    last_published: int
    holder: str | None


class InboxStatus(BaseModel):
    """Events of other services that wait for another attempt, or for an operator. Age in seconds."""

    waiting: int
    dead: int
    oldest_age: float


class PointStatus(BaseModel):
    """The enforcement point of this instance. `age`: seconds since the bus confirmed that it has read the whole feed."""

    name: str
    fresh: bool
    age: float | None
    bound: float
    cutoffs: int
    keys: int
    revoker_age: float | None


class ServiceStatus(BaseModel):
    """The status of one instance. Without its database `relay` and `inbox` are null; `inbox` is also null without an inbox."""

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
