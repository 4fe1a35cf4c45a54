"""Reads the whole log for its check: in order, in parts, without trusting any column."""

from collections.abc import Sequence

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import undefer

from audit.log.models import Leaf, SignedCheckpoint, StoredTile
from audit.tlog.merkle import HASH_SIZE
from audit.tlog.tiles import TILE_WIDTH


async def begin_snapshot(session: AsyncSession) -> None:
    """Make the transaction read one state of the database throughout."""
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))


async def list_checkpoints(session: AsyncSession) -> Sequence[SignedCheckpoint]:
    """Return all checkpoints, the smallest first."""
    return (await session.scalars(select(SignedCheckpoint).order_by(SignedCheckpoint.size))).all()


async def list_leaves(session: AsyncSession, begin: int, limit: int) -> Sequence[Leaf]:
    """Return up to `limit` leaves with their bytes, by index from `begin`."""
    query = select(Leaf).where(Leaf.index >= begin).order_by(Leaf.index).limit(limit).options(undefer(Leaf.body))
    leaves = (await session.scalars(query)).all()
    session.expunge_all()
    return leaves


async def get_bottom_tile(session: AsyncSession, index: int) -> bytes | None:
    """Return the widest version of a tile of level 0."""
    data: bytes | None = await session.scalar(
        select(StoredTile.data)
        .where(StoredTile.level == 0, StoredTile.index == index)
        .order_by(StoredTile.width.desc())
        .limit(1)
    )
    return data


async def find_leaf_hash(session: AsyncSession, leaf_hash: bytes) -> int | None:
    """Return the index at which the tiles have a leaf hash; searches every tile of level 0."""
    found = await session.execute(
        text("SELECT index, position(:hash IN data) - 1 FROM tiles WHERE level = 0 AND position(:hash IN data) > 0"),
        {"hash": leaf_hash},
    )
    return next((row[0] * TILE_WIDTH + row[1] // HASH_SIZE for row in found if row[1] % HASH_SIZE == 0), None)


async def list_tile_versions(session: AsyncSession, level: int, index: int) -> list[tuple[int, bytes]]:
    """Return (width, data) of all versions of a tile, the narrowest first."""
    found = await session.execute(
        select(StoredTile.width, StoredTile.data)
        .where(StoredTile.level == level, StoredTile.index == index)
        .order_by(StoredTile.width)
    )
    return [(row[0], row[1]) for row in found]


async def list_widest_tiles(session: AsyncSession) -> list[tuple[int, int, int]]:
    """Return (level, index, width) of every tile in its widest version."""
    found = await session.execute(
        text("SELECT level, index, max(width) FROM tiles GROUP BY level, index ORDER BY level, index")
    )
    return [(row[0], row[1], row[2]) for row in found]
