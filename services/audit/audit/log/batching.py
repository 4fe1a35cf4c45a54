"""Batches: deliveries of the bus, classified before they wait for the writer, and deduplicated against the log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import queries
from audit.log.entries import HeartbeatSeen, LogEntry, Reason, Rejection, classify
from common.messaging.bus import Message


@dataclass(slots=True)
class Batch:
    """Messages by class, each class in the order of arrival."""

    entries: list[LogEntry] = field(default_factory=list)
    heartbeats: list[HeartbeatSeen] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Self:
        """Classify the messages."""
        batch = cls()
        for message in messages:
            match classify(message):
                case LogEntry() as entry:
                    batch.entries.append(entry)
                case HeartbeatSeen() as heartbeat:
                    batch.heartbeats.append(heartbeat)
                case rejection:
                    batch.rejections.append(rejection)
        return batch

    @classmethod
    def merge(cls, batches: Sequence["Batch"]) -> Self:
        """Merge several batches into one."""
        return cls(
            list(chain.from_iterable(batch.entries for batch in batches)),
            list(chain.from_iterable(batch.heartbeats for batch in batches)),
            list(chain.from_iterable(batch.rejections for batch in batches)),
        )

    def last_numbers(self) -> dict[str, int]:
        """Return the highest number of each source; partitions deliver numbers in any order."""
        last: dict[str, int] = {}
        for entry in self.entries:
            if entry.sequence > last.get(entry.source, 0):
                last[entry.source] = entry.sequence
        return last

    def __len__(self) -> int:
        return len(self.entries) + len(self.heartbeats) + len(self.rejections)


@dataclass(slots=True)
class Deduplicated:
    """New entries, the number of repetitions, and entries that reuse the id or number of another message."""

    fresh: list[LogEntry] = field(default_factory=list)
    repeated: int = 0
    rejections: list[Rejection] = field(default_factory=list)


async def deduplicate(session: AsyncSession, entries: Sequence[LogEntry]) -> Deduplicated:
    """Compare entries with the log and with each other, by id and by number; a repetition has the same bytes."""
    result = Deduplicated()
    if not entries:
        return result
    ids: dict[UUID, bytes | LogEntry] = {}
    numbers: dict[tuple[str, int], bytes | LogEntry] = {}
    for message_id, number, digest in await queries.list_logged_digests(
        session, [entry.id for entry in entries], [entry.number for entry in entries]
    ):
        ids[message_id] = numbers[number] = digest
    for entry in entries:
        by_id = ids.get(entry.id)
        if by_id is None and entry.number not in numbers:
            ids[entry.id] = numbers[entry.number] = entry
            result.fresh.append(entry)
        elif by_id is None:
            result.rejections.append(entry.rejected(Reason.NUMBER_USED_TWICE))
        elif _digest(by_id) == entry.digest:
            result.repeated += 1
        else:
            result.rejections.append(entry.rejected(Reason.ID_USED_TWICE))
    return result


def _digest(known: bytes | LogEntry) -> bytes:
    return known.digest if isinstance(known, LogEntry) else known
