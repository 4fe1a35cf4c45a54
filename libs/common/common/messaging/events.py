"""Events between services: their base class, their CloudEvents form, and the registry of all types.

The events themselves are contracts (`common.contracts.events`). A contract only grows: a new field with a default, or
a new version under a new type.
"""

import re
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict

PREFIX = "cn.xindun"

REGISTRY: dict[str, type["Event"]] = {}
"""Every event class by its CloudEvents type."""


class Event(BaseModel):
    """One fact, in the past tense, complete in itself.

    A subclass is declared as `class AccountRevoked(Event, publisher="identity", name="account.revoked", key="account_id")`:
    `key` names the field with the aggregate's id, by which the bus keeps order.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    publisher: ClassVar[str]
    type: ClassVar[str]
    key_field: ClassVar[str]

    def __init_subclass__(cls, *, publisher: str, name: str, key: str, version: int = 1, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+", name):
            raise ValueError(f"event name {name!r} is not dotted lower case")
        cls.publisher = publisher
        cls.type = f"{PREFIX}.{publisher}.{name}.v{version}"
        cls.key_field = key
        if REGISTRY.setdefault(cls.type, cls) is not cls:
            raise ValueError(f"event {cls.type} is declared twice")

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Raise `ValueError` where a field would hide what the event itself is."""
        super().__pydantic_init_subclass__(**kwargs)
        if hidden := {"publisher", "type", "key_field", "key"} & set(cls.model_fields):
            raise ValueError(f"{cls.__name__}: a field hides {hidden}")

    @property
    def key(self) -> str:
        """The aggregate's id."""
        return str(getattr(self, self.key_field))


class Refusal(BaseModel):
    """Fields of each publisher's `access.refused`: subject, operation, problem, reason and clause."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    request_id: str
    subject: str
    method: str
    route: str
    problem: str
    reason: str | None = None
    clause: str | None = None
    origin: str | None = None
    count: int = 1


class DeadLetterDecision(BaseModel):
    """Fields of each publisher's `dead-letter.settled`: an operator replayed a dead letter, or dropped it with a reason."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    message_id: UUID
    message_type: str
    outcome: Literal["replayed", "dropped"]
    settled_by: str
    reason: str | None = None


class Envelope(BaseModel):
    """An event on the wire: CloudEvents 1.0 in structured JSON, with the `sequence` and distributed-tracing extensions.

    `actor` says who did it (`account:<id>`, `system:<id>`, `service:<name>`), `requestid` in which request.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: str = "1.0"
    id: UUID
    source: str
    type: str
    subject: str
    time: datetime
    sequence: int
    actor: str | None = None
    actorunit: str | None = None
    requestid: str | None = None
    traceparent: str | None = None
    data: dict[str, Any]

    @property
    def publisher(self) -> str:
        """The service that says so: the source is `/<service>`, or `/<service>/<instance>/<start>` without a database."""
        return self.source.split("/", 2)[1] if self.source.startswith("/") else ""

    def to_bytes(self) -> bytes:
        """Return the JSON form; `sequence` is a decimal string there, as its CloudEvents extension asks."""
        members = self.model_dump(mode="json", exclude_none=True) | {
            "sequence": str(self.sequence),
            "datacontenttype": "application/json",
        }
        return orjson.dumps(members, option=orjson.OPT_SORT_KEYS)

    def event(self) -> Event | None:
        """Return the typed event, or None when this version does not know its type."""
        known = REGISTRY.get(self.type)
        return known.model_validate(self.data) if known else None
