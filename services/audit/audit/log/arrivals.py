"""Tells what a message of the bus is to the log: a leaf, a heartbeat, or nothing that it can take."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pydantic import ValidationError

from audit.log.merkle import leaf_hash
from audit.log.tiles import MOST_LEAF_BYTES
from common.bus import Message
from common.bus.topics import owner_of
from common.events import PREFIX, Envelope

__all__ = ["Arrival", "Reason", "Rejection", "Sign", "read"]

MOST_NAME = 200
"""Characters of a source and of a type: an index row has to hold them."""
MOST_WORD = 300
"""Characters of a search column: what is longer is found by its beginning, and read in the leaf."""
MOST_NUMBER = (1 << 63) - 1


class Reason(StrEnum):
    """Why a message is no leaf."""

    NOT_AN_EVENT = "not-an-event"
    TOO_LONG = "too-long"
    FOREIGN_PUBLISHER = "foreign-publisher"
    ID_USED_TWICE = "id-used-twice"
    NUMBER_USED_TWICE = "number-used-twice"


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message that can be a leaf. `digest` tells a repetition from another message under the same name."""

    topic: str
    body: bytes
    envelope: Envelope
    time: datetime
    hash: bytes
    digest: bytes

    @property
    def number(self) -> tuple[str, int]:
        """What its producer numbered it."""
        return self.envelope.source, self.envelope.sequence

    def row(self, index: int, logged_at: datetime) -> tuple[object, ...]:
        """Return the row in the order of the columns of `leaves`."""
        envelope = self.envelope
        return (
            index,
            envelope.id,
            envelope.source,
            envelope.sequence,
            envelope.type,
            _word(envelope.subject),
            self.time,
            _word(envelope.actor),
            _word(envelope.requestid),
            logged_at,
            self.body,
        )

    def rejected(self, reason: Reason) -> "Rejection":
        """Return it as a rejection."""
        return Rejection(self.topic, self.digest, len(self.body), reason)


@dataclass(frozen=True, slots=True)
class Sign:
    """A heartbeat: its producer lives, and `number` was its last one."""

    source: str
    number: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A message that the log cannot take."""

    topic: str
    digest: bytes
    bytes: int
    reason: Reason


def read(message: Message) -> Arrival | Sign | Rejection:
    """Return what `message` is; it never raises, since one bad message must not stop the others."""
    body = message.value or b""
    digest = hashlib.sha256(body).digest()

    def refused(reason: Reason) -> Rejection:
        return Rejection(message.topic, digest, len(body), reason)

    if len(body) > MOST_LEAF_BYTES:
        return refused(Reason.TOO_LONG)
    try:
        envelope = Envelope.model_validate_json(body)
        time = envelope.time.astimezone(UTC) if envelope.time.tzinfo else None
    except (ValidationError, OverflowError):
        return refused(Reason.NOT_AN_EVENT)
    if envelope.publisher != owner_of(message.topic):
        return refused(Reason.FOREIGN_PUBLISHER)
    if time is None or not _storable(envelope):
        return refused(Reason.NOT_AN_EVENT)
    if envelope.type == f"{PREFIX}.{envelope.publisher}.heartbeat.v1":
        return Sign(envelope.source, envelope.sequence)
    if envelope.sequence == 0:
        return refused(Reason.NOT_AN_EVENT)
    return Arrival(message.topic, body, envelope, time, leaf_hash(body), digest)


def _storable(envelope: Envelope) -> bool:
    names = (envelope.source, envelope.type)
    return (
        envelope.specversion == "1.0"
        and 0 <= envelope.sequence <= MOST_NUMBER
        and all(0 < len(name) <= MOST_NAME and name.isprintable() for name in names)
    )


def _word(text: str | None) -> str | None:
    """Return `text` as a search column holds it: PostgreSQL's text has no NUL, and its index rows are short."""
    return None if text is None else text[:MOST_WORD].replace("\x00", "\ufffd")
