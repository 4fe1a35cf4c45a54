"""The stored log: leaves with their search columns, hash tiles, checkpoints, and rejected messages."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from audit.tables import Base
from common.storage.base import BigInt


class Leaf(Base):
    """One entry. `body` is the message byte for byte; the other columns serve the search and prove nothing."""

    __tablename__ = "leaves"
    __table_args__ = (UniqueConstraint("source", "sequence"),)

    index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    message_id: Mapped[UUID] = mapped_column(unique=True)
    source: Mapped[str]
    sequence: Mapped[BigInt]
    type: Mapped[str]
    subject: Mapped[str]
    time: Mapped[datetime]
    actor: Mapped[str | None]
    requestid: Mapped[str | None]
    logged_at: Mapped[datetime]
    body: Mapped[bytes] = mapped_column(deferred=True)


class StoredTile(Base):
    """One version of a hash tile; a wider one begins with a narrower."""

    __tablename__ = "tiles"
    __table_args__ = (CheckConstraint("octet_length(data) = width * 32", name="data"),)

    level: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    index: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    width: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    data: Mapped[bytes]


class SignedCheckpoint(Base):
    """A commitment of the log; `note` is the signed text, the columns repeat it."""

    __tablename__ = "checkpoints"

    size: Mapped[BigInt] = mapped_column(primary_key=True, autoincrement=False)
    root: Mapped[bytes]
    note: Mapped[str]
    signed_at: Mapped[datetime]


class RejectedMessage(Base):
    """A message that could not become a leaf: its digest, the reason, and its claimed source. Its content is not stored."""

    __tablename__ = "rejected"
    __table_args__ = (UniqueConstraint("topic", "digest", "reason"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    topic: Mapped[str]
    digest: Mapped[bytes]
    bytes: Mapped[BigInt]
    reason: Mapped[str]
    rejected_at: Mapped[datetime]
    source: Mapped[str | None]
