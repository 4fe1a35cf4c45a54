"""Checks the stored log against its signatures: the edge at each batch, the last tile at each start; `audit.fsck` checks all."""

from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import queries
from audit.log.models import SignedCheckpoint
from audit.log.problems import LogBroken
from audit.tlog.merkle import EMPTY_ROOT, HASH_SIZE, Frontier, leaf_hash
from audit.tlog.signed_notes import Checkpoint, NoteError, Verifier, open_checkpoint
from audit.tlog.tiles import TILE_WIDTH, Tile, node_reader


class Tree:
    """The newest signed tree, with the tiles from which it grows."""

    def __init__(self, checkpoint: Checkpoint, edge: dict[Tile, bytes]) -> None:
        self.size, self.root, self.edge = checkpoint.size, checkpoint.root, edge


def open_signed(stored: SignedCheckpoint, log: Verifier) -> Checkpoint:
    """Return the content of a stored checkpoint. Raises `LogBroken` when the log's key did not sign it."""
    try:
        checkpoint = open_checkpoint(stored.note, log)
    except NoteError:
        raise LogBroken(f"检查点 {stored.size} 的签名不成立", f"checkpoint {stored.size} is not signed") from None
    if (checkpoint.size, checkpoint.root) != (stored.size, stored.root):
        raise LogBroken(f"检查点 {stored.size} 与签名不符", f"checkpoint {stored.size} differs from what is signed")
    return checkpoint


async def check_edge(session: AsyncSession, log: Verifier) -> Tree | None:
    """Return the newest tree after a check of its signature, its root by the stored tiles and its number of leaves.

    Returns None for a log without checkpoint. Raises `LogBroken`.
    """
    stored = await queries.get_newest_checkpoint(session)
    last = await queries.get_last_index(session)
    if stored is None:
        if last >= 0:
            raise LogBroken("没有检查点", "there is no checkpoint")
        return None
    checkpoint = open_signed(stored, log)
    size = checkpoint.size
    if last != size - 1:
        raise LogBroken(f"检查点有 {size} 条，实有 {last + 1} 条", f"{size} entries are signed, {last + 1} are stored")
    edge = await queries.get_tiles(session, queries.edge_tiles(size))
    root = Frontier.load(size, node_reader(size, edge.__getitem__)).root() if size else EMPTY_ROOT
    if root != checkpoint.root:
        raise LogBroken(f"切片与检查点 {size} 不符", f"the tiles are not those of checkpoint {size}")
    return Tree(checkpoint, edge)


async def check_last_leaves(session: AsyncSession, size: int) -> None:
    """Compare the leaves of the last tile with its hashes. Raises `LogBroken` that names the first bad index."""
    if not size:
        return
    index = (size - 1) // TILE_WIDTH
    begin = index * TILE_WIDTH
    tile = Tile(0, index, size - begin)
    hashes = (await queries.get_tiles(session, [tile]))[tile]
    stored = dict(await queries.list_bodies(session, begin, size))
    for at in range(begin, size):
        expected = hashes[(at - begin) * HASH_SIZE : (at - begin + 1) * HASH_SIZE]
        if at not in stored or leaf_hash(stored[at]) != expected:
            raise LogBroken(f"第 {at} 条与日志不符", f"entry {at} is not the one that was logged", index=at)
