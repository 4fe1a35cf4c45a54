"""Reads the log."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from audit.log.models import Leaf, Rejected, SignedCheckpoint, StoredTile
from audit.problems import LogBroken
from audit.tlog.merkle import HASH_SIZE, NodeReader
from audit.tlog.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, node_reader
from common.storage.pagination import PageRequest

__all__ = [
    "RecordFilter",
    "bodies",
    "edge_tiles",
    "last_index",
    "list_records",
    "list_rejected",
    "newest_checkpoint",
    "read_tiles",
    "record",
    "tile",
    "with_nodes",
]

T = TypeVar("T")


async def newest_checkpoint(session: AsyncSession) -> SignedCheckpoint | None:
    """Return the checkpoint of the largest tree."""
    found: SignedCheckpoint | None = await session.scalar(
        select(SignedCheckpoint).order_by(SignedCheckpoint.size.desc()).limit(1)
    )
    return found


async def last_index(session: AsyncSession) -> int:
    """Return the highest index of a stored leaf, -1 when there is none."""
    found: int | None = await session.scalar(select(func.max(Leaf.index)))
    return -1 if found is None else found


async def bodies(session: AsyncSession, begin: int, end: int) -> list[tuple[int, bytes]]:
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


async def read_tiles(session: AsyncSession, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
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
            "levels": [tile.level for tile in wanted],
            "indexes": [tile.index for tile in wanted],
            "widths": [tile.width for tile in wanted],
        },
    )
    data = {Tile(row[0], row[1], row[2]): bytes(row[3]) for row in found}
    if missing := next((tile for tile in wanted if tile not in data), None):
        raise LogBroken(f"缺少 {missing.path}", f"{missing.path} is missing")
    return data


async def with_nodes(session: AsyncSession, size: int, compute: Callable[[NodeReader], T]) -> T:
    """Return what `compute` makes of the nodes of the tree of `size` leaves; only the tiles that it asks for are read.

    `compute` runs twice, the first time on empty hashes, to see which.
    """
    wanted: set[Tile] = set()

    def note(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index = (index << height) // TILE_WIDTH
        width = min(TILE_WIDTH, (size >> tile_level * TILE_HEIGHT) - tile_index * TILE_WIDTH)
        wanted.add(Tile(tile_level, tile_index, width))
        return bytes(HASH_SIZE)

    compute(note)
    tiles = await read_tiles(session, wanted)
    return compute(node_reader(size, tiles.__getitem__))


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """What records are asked for; None asks for nothing in particular."""

    subject: str | None = None
    actor: str | None = None
    type: str | None = None
    requestid: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: Literal["newest", "oldest"] = "newest"


async def list_records(
    session: AsyncSession, wanted: RecordFilter, after: int | None, page: PageRequest
) -> Sequence[Leaf]:
    """Return one record more than the page holds, by index."""
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
    return (await session.scalars(found.limit(page.limit + 1))).all()


async def record(session: AsyncSession, index: int) -> Leaf | None:
    """Return one record with its bytes."""
    found: Leaf | None = await session.scalar(select(Leaf).where(Leaf.index == index).options(undefer(Leaf.body)))
    return found


async def list_rejected(session: AsyncSession, page: PageRequest) -> Sequence[Rejected]:
    """Return what could not become a leaf, one more than the page holds."""
    found = select(Rejected).order_by(Rejected.id).limit(page.limit + 1)
    if page.after is not None:
        found = found.where(Rejected.id > page.after)
    return (await session.scalars(found)).all()


async def tile(session: AsyncSession, wanted: Tile) -> bytes | None:
    """Return a hash tile at exactly its width, None where the log has none so wide."""
    data: bytes | None = await session.scalar(
        select(StoredTile.data)
        .where(StoredTile.level == wanted.level, StoredTile.index == wanted.index, StoredTile.width >= wanted.width)
        .order_by(StoredTile.width)
        .limit(1)
    )
    return None if data is None else data[: wanted.width * HASH_SIZE]
