"""Tells what a message of the bus is to the log: a leaf, a heartbeat, or nothing that it can take."""

import functools
import hashlib
from datetime import UTC, datetime
from enum import Enum, StrEnum, auto
from typing import NamedTuple, overload
from uuid import UUID

from pydantic import ValidationError

from audit.tlog.merkle import leaf_hash
from audit.tlog.tiles import MOST_LEAF_BYTES
from common.messaging.bus import Message
from common.messaging.events import PREFIX, Envelope
from common.messaging.topics import topic_owner

__all__ = ["Arrival", "Reason", "Rejection", "Sign", "read"]

MOST_NAME = 200
"""Characters of a source and of a type: an index row has to hold them."""
MOST_WORD = 300
"""Characters of a search column: what is longer is found by its beginning, and read in the leaf."""
MOST_NUMBER = 10**18 - 1
"""The largest number that the evidence's verifier reads, and one to which PostgreSQL's bigint can add."""


class Reason(StrEnum):
    """Why a message is no leaf."""

    NOT_AN_EVENT = "not-an-event"
    TOO_LONG = "too-long"
    FOREIGN_PUBLISHER = "foreign-publisher"
    ID_USED_TWICE = "id-used-twice"
    NUMBER_USED_TWICE = "number-used-twice"


class Arrival(NamedTuple):
    """A message that can be a leaf: what it is found by, and its bytes; nothing more, since thousands wait at a time."""

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
        """What its producer numbered it."""
        return self.source, self.sequence

    @property
    def digest(self) -> bytes:
        """Tells a repetition from another message under the same name."""
        return hashlib.sha256(self.body).digest()

    def row(self, index: int, logged_at: datetime) -> tuple[object, ...]:
        """Return the row in the order of the columns of `leaves`."""
        return (index, *self[1:9], logged_at, self.body)

    def rejected(self, reason: Reason) -> "Rejection":
        """Return it as a rejection."""
        return Rejection(self.topic, self.digest, reason, len(self.body), self.source)


class Sign(NamedTuple):
    """A heartbeat: its producer lives, and `number` was its last one."""

    source: str
    number: int


class Rejection(NamedTuple):
    """A message that the log cannot take; `source` is whose it claims to be, None where it does not say."""

    topic: str
    digest: bytes
    reason: Reason
    bytes: int
    source: str | None


def read(message: Message) -> Arrival | Sign | Rejection:
    """Return what `message` is; it never raises, since one bad message must not stop the others."""
    body = message.value or b""

    def refused(reason: Reason, source: str | None = None) -> Rejection:
        return Rejection(message.topic, hashlib.sha256(body).digest(), reason, len(body), _word(source, MOST_NAME))

    if len(body) > MOST_LEAF_BYTES:
        return refused(Reason.TOO_LONG)
    try:
        envelope = Envelope.model_validate_json(body)
        time = envelope.time.astimezone(UTC) if envelope.time.tzinfo else None
    except (ValidationError, OverflowError):
        return refused(Reason.NOT_AN_EVENT)
    source, sequence, publisher = envelope.source, envelope.sequence, envelope.publisher
    if publisher != topic_owner(message.topic):
        return refused(Reason.FOREIGN_PUBLISHER, source)
    names = _judge_names(publisher, source, envelope.type)
    if names is Names.BAD or time is None or envelope.specversion != "1.0" or not 0 <= sequence <= MOST_NUMBER:
        return refused(Reason.NOT_AN_EVENT, source)
    if names is Names.HEARTBEAT:
        return Sign(source, sequence)
    if sequence == 0:
        return refused(Reason.NOT_AN_EVENT, source)
    return Arrival(
        message.topic,
        envelope.id,
        source,
        sequence,
        envelope.type,
        _word(envelope.subject),
        time,
        _word(envelope.actor),
        _word(envelope.requestid),
        body,
        leaf_hash(body),
    )


class Names(Enum):
    """What source and type together say of a message."""

    BAD = auto()
    HEARTBEAT = auto()
    EVENT = auto()


@functools.lru_cache(maxsize=4096)  # producers say the same few names again and again
def _judge_names(publisher: str, source: str, type_: str) -> Names:
    if not all(0 < len(name) <= MOST_NAME and name.isprintable() for name in (source, type_)):
        return Names.BAD
    return Names.HEARTBEAT if type_ == f"{PREFIX}.{publisher}.heartbeat.v1" else Names.EVENT


@overload
def _word(text: str, most: int = MOST_WORD) -> str: ...
@overload
def _word(text: str | None, most: int = MOST_WORD) -> str | None: ...
def _word(text: str | None, most: int = MOST_WORD) -> str | None:
    """Return `text` as a search column holds it: PostgreSQL's text has no NUL, and its index rows are short."""
    return None if text is None else text[:most].replace("\x00", "\ufffd")
