"""Statements on the log: reads, its lock, and rejected messages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, TypeVar
from uuid import UUID

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from audit.log.entries import Reason, Rejection
from audit.log.models import Leaf, RejectedMessage, SignedCheckpoint, StoredTile
from audit.log.problems import LogBroken
from audit.tlog.merkle import HASH_SIZE, NodeReader
from audit.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, node_reader
from common.ids import new_id
from common.problems import Invalid
from common.storage.pagination import PageRequest, Slice, encode_cursor, paginate

T = TypeVar("T")

MAX_INDEX = (1 << 63) - 1
"""The largest index of a leaf, by PostgreSQL's bigint."""


async def lock_log(session: AsyncSession) -> None:
    """Take the advisory lock that admits one writer at a time, until the transaction ends."""
    await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('xindun.audit.log'))"))


async def list_logged_digests(
    session: AsyncSession, ids: Sequence[UUID], numbers: Sequence[tuple[str, int]]
) -> list[tuple[UUID, tuple[str, int], bytes]]:
    """Return (id, number, SHA-256) of the leaves that have one of these ids or numbers."""
    found = await session.execute(
        text("""
            SELECT message_id, source, sequence, sha256(body) FROM leaves WHERE message_id = ANY (:ids)
            UNION
            SELECT l.message_id, l.source, l.sequence, sha256(l.body)
            FROM unnest(CAST(:sources AS text[]), CAST(:sequences AS bigint[])) AS w (source, sequence)
            JOIN leaves l ON l.source = w.source AND l.sequence = w.sequence"""),
        {
            "ids": list(ids),
            "sources": [source for source, _ in numbers],
            "sequences": [sequence for _, sequence in numbers],
        },
    )
    return [(row[0], (row[1], row[2]), bytes(row[3])) for row in found]


async def list_known_rejections(
    session: AsyncSession, rejections: Sequence[Rejection]
) -> set[tuple[str, bytes, Reason]]:
    """Return (topic, digest, reason) of those rejections that are stored already."""
    found = await session.execute(
        text("""
            SELECT r.topic, r.digest, r.reason
            FROM unnest(CAST(:topics AS text[]), CAST(:digests AS bytea[]), CAST(:reasons AS text[]))
                AS w (topic, digest, reason)
            JOIN rejected r ON r.topic = w.topic AND r.digest = w.digest AND r.reason = w.reason"""),
        {
            "topics": [rejection.topic for rejection in rejections],
            "digests": [rejection.digest for rejection in rejections],
            "reasons": [rejection.reason.value for rejection in rejections],
        },
    )
    return {(row[0], bytes(row[1]), Reason(row[2])) for row in found}


async def count_rejected(session: AsyncSession, topic: str, reason: Reason, day: date, more: int) -> int:
    """Add `more` to the count of a topic, reason and day (UTC); return the count."""
    counted: int = (
        await session.execute(
            text("SELECT count_rejected(:topic, :reason, :day, :more)"),
            {"topic": topic, "reason": reason, "day": day, "more": more},
        )
    ).scalar_one()
    return counted


async def insert_rejections(session: AsyncSession, rejections: Sequence[Rejection], now: datetime) -> None:
    """Store rejections."""
    rows = [{"id": new_id(), **rejection._asdict(), "rejected_at": now} for rejection in rejections]
    await session.execute(insert(RejectedMessage), rows)


async def get_newest_checkpoint(session: AsyncSession) -> SignedCheckpoint | None:
    """Return the checkpoint of the largest tree."""
    found: SignedCheckpoint | None = await session.scalar(
        select(SignedCheckpoint).order_by(SignedCheckpoint.size.desc()).limit(1)
    )
    return found


async def get_last_index(session: AsyncSession) -> int:
    """Return the highest index of a stored leaf, -1 for an empty log."""
    found: int | None = await session.scalar(select(func.max(Leaf.index)))
    return -1 if found is None else found


async def list_bodies(session: AsyncSession, begin: int, end: int) -> list[tuple[int, bytes]]:
    """Return (index, stored bytes) of the leaves with begin <= index < end, in order."""
    found = await session.execute(
        select(Leaf.index, Leaf.body).where(Leaf.index >= begin, Leaf.index < end).order_by(Leaf.index)
    )
    return [(row[0], row[1]) for row in found]


def edge_tiles(size: int) -> list[Tile]:
    """Name the partial tiles at the right edge of a tree of `size` leaves: all that appending to it reads."""
    found, level = [], 0
    while size:
        index, width = divmod(size, TILE_WIDTH)
        if width:
            found.append(Tile(level, index, width))
        size, level = index, level + 1
    return found


async def get_tiles(session: AsyncSession, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
    """Return the stored tiles, each in its narrowest version that is wide enough. Raises `LogBroken` when one is missing."""
    wanted = sorted(tiles)
    if not wanted:
        return {}
    found = await session.execute(
        text("""
            SELECT w.level, w.index, w.width, t.data
            FROM unnest(CAST(:levels AS smallint[]), CAST(:indexes AS bigint[]), CAST(:widths AS smallint[]))
                AS w (level, index, width)
            CROSS JOIN LATERAL (
                SELECT data FROM tiles t
                WHERE t.level = w.level AND t.index = w.index AND t.width >= w.width
                ORDER BY t.width LIMIT 1
            ) t"""),
        {
            "levels": [get_tile.level for get_tile in wanted],
            "indexes": [get_tile.index for get_tile in wanted],
            "widths": [get_tile.width for get_tile in wanted],
        },
    )
    data = {Tile(row[0], row[1], row[2]): bytes(row[3]) for row in found}
    if missing := next((get_tile for get_tile in wanted if get_tile not in data), None):
        raise LogBroken(f"缺少 {missing.path}", f"{missing.path} is missing")
    return data


async def compute_with_nodes(session: AsyncSession, size: int, compute: Callable[[NodeReader], T]) -> T:
    """Return the result of `compute` on the nodes of the tree of `size` leaves; only the tiles that it needs are read.

    `compute` runs twice: the first run, on empty hashes, only determines the tiles.
    """
    wanted: set[Tile] = set()

    def note(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index = (index << height) // TILE_WIDTH
        width = min(TILE_WIDTH, (size >> tile_level * TILE_HEIGHT) - tile_index * TILE_WIDTH)
        wanted.add(Tile(tile_level, tile_index, width))
        return bytes(HASH_SIZE)

    compute(note)
    tiles = await get_tiles(session, wanted)
    return compute(node_reader(size, tiles.__getitem__))


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """The filter of a list of records; None does not filter."""

    subject: str | None = None
    actor: str | None = None
    type: str | None = None
    requestid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: Literal["newest", "oldest"] = "newest"


async def list_records(session: AsyncSession, wanted: RecordFilter, page: PageRequest) -> Slice[Leaf]:
    """Return records by index; the cursor holds the index as a UUID. Raises `Invalid` for a cursor beyond any index."""
    after = page.after.int if page.after else None
    if after is not None and after > MAX_INDEX:
        raise Invalid("cursor 无效", "The cursor is not valid", parameter="cursor")
    found = select(Leaf)
    for column, value in (
        (Leaf.subject, wanted.subject),
        (Leaf.actor, wanted.actor),
        (Leaf.type, wanted.type),
        (Leaf.requestid, wanted.requestid),
    ):
        if value is not None:
            found = found.where(column == value)
    if wanted.since is not None:
        found = found.where(Leaf.time >= wanted.since)
    if wanted.until is not None:
        found = found.where(Leaf.time < wanted.until)
    if wanted.order == "newest":
        found = found.order_by(Leaf.index.desc())
        found = found if after is None else found.where(Leaf.index < after)
    else:
        found = found.order_by(Leaf.index)
        found = found if after is None else found.where(Leaf.index > after)
    rows = (await session.scalars(found.limit(page.limit + 1))).all()
    shown = rows[: page.limit]
    return Slice(shown, encode_cursor(UUID(int=shown[-1].index)) if len(rows) > page.limit else None)


async def get_record(session: AsyncSession, index: int) -> Leaf | None:
    """Return one record with its bytes."""
    found: Leaf | None = await session.scalar(select(Leaf).where(Leaf.index == index).options(undefer(Leaf.body)))
    return found


async def list_rejected_messages(session: AsyncSession, page: PageRequest) -> Slice[RejectedMessage]:
    """Return the messages that could not become leaves."""
    return await paginate(session, select(RejectedMessage), RejectedMessage.id, page)


async def get_tile(session: AsyncSession, wanted: Tile) -> bytes | None:
    """Return a hash tile at exactly its width, None if the stored tile is narrower."""
    data: bytes | None = await session.scalar(
        select(StoredTile.data)
        .where(StoredTile.level == wanted.level, StoredTile.index == wanted.index, StoredTile.width >= wanted.width)
        .order_by(StoredTile.width)
        .limit(1)
    )
    return None if data is None else data[: wanted.width * HASH_SIZE]
