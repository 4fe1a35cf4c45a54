"""Entries of the revocation feed: everything that an enforcement point must know before it decides."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter


class Entry(BaseModel):
    """One entry; the topic keeps the last one of each key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @property
    def key(self) -> str:
        """The topic key: a later entry with the same key replaces this one."""
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """Return the JSON form."""
        return orjson.dumps(self.model_dump(mode="json"))


class Cutoff(Entry):
    """From `at` on, no credential of `subject` with an epoch below `epoch` is accepted (P1).

    `subject` is `account:<id>`, `system:<id>`, `unit:<id>` or `session:<id>`; `reason` a stable slug
    (`account-revoked`, `system-contained` …), `cause` what brought it about (`departure:<id>`, `order:<id>` …).
    `until`: when the last credential that it concerns has expired anyway; points may forget it then.
    """

    kind: Literal["cutoff"] = "cutoff"
    id: UUID
    subject: str
    epoch: int
    reason: str
    cause: str | None = None
    at: datetime
    until: datetime | None = None

    @property
    def key(self) -> str:
        """Subject and epoch: an older cutoff that is published late must not replace a newer one."""
        return f"{self.subject}:{self.epoch}"


class VerificationKey(Entry):
    """A public key (JWK) with which access tokens are verified; `retired` ends it."""

    kind: Literal["key"] = "key"
    kid: str
    jwk: dict[str, Any]
    retired: bool = False

    @property
    def key(self) -> str:
        """Active and retired keys use different topic keys: a delayed "active" entry cannot overwrite a retirement."""
        return f"key:{self.kid}:retired" if self.retired else f"key:{self.kid}"


class PolicyVersion(Entry):
    """One version of a policy of the authority, in force from `effective_from` until the next version's (P9)."""

    kind: Literal["policy"] = "policy"
    name: str
    version: int
    value: int
    effective_from: datetime
    basis: str

    @property
    def key(self) -> str:
        """Every version stays on the feed: old cases are judged by the rule of their time."""
        return f"policy:{self.name}:{self.version}"


class Heartbeat(Entry):
    """Identity is alive and could publish a cutoff: its database answered and its relay had nothing left."""

    kind: Literal["heartbeat"] = "heartbeat"
    at: datetime

    @property
    def key(self) -> str:
        """There is one publisher."""
        return "heartbeat:identity"


_ENTRY: TypeAdapter[Cutoff | VerificationKey | PolicyVersion | Heartbeat] = TypeAdapter(
    Annotated[Cutoff | VerificationKey | PolicyVersion | Heartbeat, Field(discriminator="kind")]
)


def read_entry(value: bytes) -> Cutoff | VerificationKey | PolicyVersion | Heartbeat:
    """Parse an entry. Raises `ValueError`: a point that cannot read its feed must not go on."""
    return _ENTRY.validate_json(value)


class Receipt(BaseModel):
    """A message of a point on its receipts topic: `alive` at an interval, `applied` per cutoff, `left` at its end."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["alive", "applied", "left"]
    point: str
    cutoff: UUID | None = None
    at: datetime

    def to_bytes(self) -> bytes:
        """Return the JSON form."""
        return orjson.dumps(self.model_dump(mode="json", exclude_none=True))
