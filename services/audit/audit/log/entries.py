"""Classifies messages of the bus: a log entry, a heartbeat, or a rejection."""

import functools
import hashlib
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from typing import NamedTuple, overload
from uuid import UUID

from pydantic import ValidationError

from audit.tlog.merkle import leaf_hash
from audit.tlog.tiles import MAX_LEAF_BYTES
from common.messaging.bus import Message
from common.messaging.events import PREFIX, Envelope
from common.messaging.topics import topic_owner

MAX_NAME_CHARS = 200
"""Limit of a source and of a type: an index row has to hold them."""
MAX_SEARCH_CHARS = 300
"""Limit of a search column: longer text is truncated there, and whole in the leaf."""
MAX_SEQUENCE = 10**18 - 1
"""The largest producer number: the evidence verifier reads it, and PostgreSQL's bigint can still add to it."""


class Reason(StrEnum):
    """Why a message cannot become a leaf."""

    NOT_AN_EVENT = "not-an-event"
    TOO_LONG = "too-long"
    FOREIGN_PUBLISHER = "foreign-publisher"
    ID_USED_TWICE = "id-used-twice"
    NUMBER_USED_TWICE = "number-used-twice"


class LogEntry(NamedTuple):
    """A message that can become a leaf: its search columns and its bytes; small, because thousands wait at a time."""

    topic: str
    id: UUID
    source: str
    sequence: int
    type: str
    subject: str
    time: datetime
    actor: str | None
    requestid: str | None
    body: bytes
    hash: bytes

    @property
    def number(self) -> tuple[str, int]:
        """The producer and its number."""
        return self.source, self.sequence

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the bytes; it distinguishes a repetition from another message with the same id or number."""
        return hashlib.sha256(self.body).digest()

    def row(self, index: int, logged_at: datetime) -> tuple[object, ...]:
        """Return the row in the order of the columns of `leaves`."""
        return (index, *self[1:9], logged_at, self.body)

    def rejected(self, reason: Reason) -> "Rejection":
        """Return the rejection of this entry."""
        return Rejection(self.topic, self.digest, reason, len(self.body), self.source)


class HeartbeatSeen(NamedTuple):
    """A heartbeat of a producer whose last number was `number`."""

    source: str
    number: int


class Rejection(NamedTuple):
    """A message that the log cannot take; `source` is the claimed source, None without one."""

    topic: str
    digest: bytes
    reason: Reason
    bytes: int
    source: str | None


def classify(message: Message) -> LogEntry | HeartbeatSeen | Rejection:
    """Return the class of `message`; never raises, because one bad message must not stop the others."""
    body = message.value or b""

    def refused(reason: Reason, source: str | None = None) -> Rejection:
        return Rejection(
            message.topic, hashlib.sha256(body).digest(), reason, len(body), _search_text(source, MAX_NAME_CHARS)
        )

    if len(body) > MAX_LEAF_BYTES:
        return refused(Reason.TOO_LONG)
    try:
        envelope = Envelope.model_validate_json(body)
        time = envelope.time.astimezone(UTC) if envelope.time.tzinfo else None
    except (ValidationError, OverflowError):
        return refused(Reason.NOT_AN_EVENT)
    source, sequence, publisher = envelope.source, envelope.sequence, envelope.publisher
    if publisher != topic_owner(message.topic):
        return refused(Reason.FOREIGN_PUBLISHER, source)
    names = _classify_names(publisher, source, envelope.type)
    if names is NameKind.BAD or time is None or envelope.specversion != "1.0" or not 0 <= sequence <= MAX_SEQUENCE:
        return refused(Reason.NOT_AN_EVENT, source)
    if names is NameKind.HEARTBEAT:
        return HeartbeatSeen(source, sequence)
    if sequence == 0:
        return refused(Reason.NOT_AN_EVENT, source)
    return LogEntry(
        message.topic,
        envelope.id,
        source,
        sequence,
        envelope.type,
        _search_text(envelope.subject),
        time,
        _search_text(envelope.actor),
        _search_text(envelope.requestid),
        body,
        leaf_hash(body),
    )


class NameKind(Enum):
    """The class of a message by its source and type."""

    BAD = auto()
    HEARTBEAT = auto()
    EVENT = auto()


@functools.lru_cache(maxsize=4096)  # producers repeat a few names
def _classify_names(publisher: str, source: str, type_: str) -> NameKind:
    if not all(0 < len(name) <= MAX_NAME_CHARS and name.isprintable() for name in (source, type_)):
        return NameKind.BAD
    return NameKind.HEARTBEAT if type_ == f"{PREFIX}.{publisher}.heartbeat.v1" else NameKind.EVENT


@overload
def _search_text(text: str, limit: int = MAX_SEARCH_CHARS) -> str: ...
@overload
def _search_text(text: str | None, limit: int = MAX_SEARCH_CHARS) -> str | None: ...
def _search_text(text: str | None, limit: int = MAX_SEARCH_CHARS) -> str | None:
    """Return `text` as a search column stores it: without NUL, which PostgreSQL's text cannot hold, and truncated."""
    return None if text is None else text[:limit].replace("\x00", "\ufffd")
