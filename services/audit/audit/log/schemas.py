"""Bodies of records, proofs and the log's key."""

import base64
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import orjson
from pydantic import BaseModel

from audit.log.models import Leaf, RejectedMessage


def encode_hashes(hashes: Sequence[bytes]) -> list[str]:
    """Return hashes in standard base64."""
    return [base64.b64encode(part).decode() for part in hashes]


class RecordSummary(BaseModel):
    """The search columns of a record."""

    index: int
    id: UUID
    source: str
    sequence: int
    type: str
    subject: str
    time: datetime
    actor: str | None
    request_id: str | None
    logged_at: datetime

    @classmethod
    def of(cls, stored: Leaf, /, **more: Any) -> Self:
        """Build it from a leaf."""
        names = ("index", "source", "sequence", "type", "subject", "time", "actor", "logged_at")
        members = {name: getattr(stored, name) for name in names}
        return cls(**members, id=stored.message_id, request_id=stored.requestid, **more)


class Record(RecordSummary):
    """A stored record: `leaf` is its bytes in base64, to which the proofs refer; `record` shows them as JSON."""

    leaf: str
    record: dict[str, Any]

    @classmethod
    def with_bytes(cls, leaf: Leaf) -> Self:
        """Build it from a leaf that was read with its bytes."""
        return cls.of(leaf, leaf=base64.b64encode(leaf.body).decode(), record=orjson.loads(leaf.body))


class RejectedMessageResponse(BaseModel):
    """A rejected message: the SHA-256 of its bytes, the reason, and its claimed source, if any.

    Of each topic, reason and day the first 1,000 are listed; anomalies say how many there were.
    """

    id: UUID
    topic: str
    sha256: str
    bytes: int
    reason: str
    source: str | None
    rejected_at: datetime

    @classmethod
    def of(cls, row: RejectedMessage) -> "RejectedMessageResponse":
        """Build it from a row."""
        return cls(
            id=row.id,
            topic=row.topic,
            sha256=row.digest.hex(),
            bytes=row.bytes,
            reason=row.reason,
            source=row.source,
            rejected_at=row.rejected_at,
        )


class LogKey(BaseModel):
    """The key (signed-note form) by which the log's checkpoints and evidence are verified."""

    origin: str
    key: str


class InclusionProof(BaseModel):
    """Shows that leaf `index` stands in the tree of `size` leaves (RFC 6962 section 2.1.1); hashes in base64, lowest first."""

    index: int
    size: int
    leaf_hash: str
    root: str
    hashes: list[str]


class ConsistencyProof(BaseModel):
    """Shows that the tree of `new` leaves continues the one of `old` (RFC 6962 section 2.1.2); hashes in base64."""

    old: int
    new: int
    old_root: str
    new_root: str
    hashes: list[str]
