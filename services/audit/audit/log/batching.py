"""What a delivery of the bus brings, read and sorted before it waits for its turn."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.log.entries import Arrival, Reason, Rejection, Sign, read
from common.messaging.bus import Message

__all__ = ["Batch", "Sifted", "sift"]


@dataclass(slots=True)
class Batch:
    """Messages by what they are to the log, each kind in the order in which it came."""

    arrivals: list[Arrival] = field(default_factory=list)
    signs: list[Sign] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)

    @classmethod
    def of(cls, messages: Iterable[Message]) -> Self:
        """Read the messages."""
        batch = cls()
        for message in messages:
            match read(message):
                case Arrival() as arrival:
                    batch.arrivals.append(arrival)
                case Sign() as sign:
                    batch.signs.append(sign)
                case rejection:
                    batch.rejections.append(rejection)
        return batch

    @classmethod
    def joined(cls, batches: Sequence["Batch"]) -> Self:
        """Put several into one."""
        return cls(
            list(chain.from_iterable(batch.arrivals for batch in batches)),
            list(chain.from_iterable(batch.signs for batch in batches)),
            list(chain.from_iterable(batch.rejections for batch in batches)),
        )

    def last_numbers(self) -> dict[str, int]:
        """Return the highest number of each source; partitions bring them in any order."""
        last: dict[str, int] = {}
        for arrival in self.arrivals:
            if arrival.sequence > last.get(arrival.source, 0):
                last[arrival.source] = arrival.sequence
        return last

    def __len__(self) -> int:
        return len(self.arrivals) + len(self.signs) + len(self.rejections)


@dataclass(slots=True)
class Sifted:
    """Arrivals held against the log: new ones, how many were there already, and what only seems to be there."""

    fresh: list[Arrival] = field(default_factory=list)
    repeated: int = 0
    rejections: list[Rejection] = field(default_factory=list)


async def sift(session: AsyncSession, arrivals: Sequence[Arrival]) -> Sifted:
    """Hold arrivals against the log and each other, by id and by number; a repetition has the same bytes."""
    found = await session.execute(
        text("""
            SELECT message_id, source, sequence, sha256(body) FROM leaves WHERE message_id = ANY (:ids)
            UNION
            SELECT l.message_id, l.source, l.sequence, sha256(l.body)
            FROM unnest(CAST(:sources AS text[]), CAST(:sequences AS bigint[])) AS w (source, sequence)
            JOIN leaves l ON l.source = w.source AND l.sequence = w.sequence"""),
        {
            "ids": [arrival.id for arrival in arrivals],
            "sources": [arrival.source for arrival in arrivals],
            "sequences": [arrival.sequence for arrival in arrivals],
        },
    )
    ids: dict[UUID, bytes | Arrival] = {}
    numbers: dict[tuple[str, int], bytes | Arrival] = {}
    for message_id, source, sequence, digest in found:
        ids[message_id] = numbers[source, sequence] = bytes(digest)
    sifted = Sifted()
    for arrival in arrivals:
        by_id = ids.get(arrival.id)
        if by_id is None and arrival.number not in numbers:
            ids[arrival.id] = numbers[arrival.number] = arrival
            sifted.fresh.append(arrival)
        elif by_id is None:
            sifted.rejections.append(arrival.rejected(Reason.NUMBER_USED_TWICE))
        elif _digest(by_id) == arrival.digest:
            sifted.repeated += 1
        else:
            sifted.rejections.append(arrival.rejected(Reason.ID_USED_TWICE))
    return sifted


def _digest(known: bytes | Arrival) -> bytes:
    return known.digest if isinstance(known, Arrival) else known
