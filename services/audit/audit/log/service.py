"""Proofs, tiles and entry bundles of the stored log."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import integrity, queries
from audit.log.models import SignedCheckpoint
from audit.log.problems import LogBroken, LogNotOpen, RecordUnknown, SizeUnknown, TileUnknown
from audit.log.schemas import ConsistencyProof, InclusionProof, encode_hashes
from audit.runtime import Runtime
from audit.tlog.merkle import NodeReader, consistency_proof, inclusion_proof, leaf_hash, subtree_root, verify_inclusion
from audit.tlog.proofs import TlogProof
from audit.tlog.tiles import ENTRIES, TILE_WIDTH, Tile, TileError, encode_bundle


async def get_newest_checkpoint(session: AsyncSession, runtime: Runtime) -> SignedCheckpoint:
    """Return the newest checkpoint. Raises `LogBroken`, `LogNotOpen`: a broken log shows no signature."""
    runtime.sequencer.require_intact()
    stored = await queries.get_newest_checkpoint(session)
    if stored is None:
        raise LogNotOpen
    integrity.open_signed(stored, runtime.signer.verifier)
    return stored


def _parse(path: str) -> Tile:
    try:
        return Tile.parse(path)
    except TileError:
        raise TileUnknown from None


async def get_hash_tile(session: AsyncSession, path: str) -> bytes:
    """Return the tile `tile/…`. Raises `TileUnknown` for a malformed path and for a tile beyond the log."""
    wanted = _parse(f"tile/{path}")
    data = None if wanted.level == ENTRIES else await queries.get_tile(session, wanted)
    if data is None:
        raise TileUnknown
    return data


async def get_entry_bundle(session: AsyncSession, path: str) -> bytes:
    """Return the entry bundle `tile/entries/…`, made from the stored leaves. Raises `TileUnknown`, `LogBroken`."""
    wanted = _parse(f"tile/entries/{path}")
    begin = wanted.index * TILE_WIDTH
    stored = await queries.get_newest_checkpoint(session)
    if stored is None or begin + wanted.width > stored.size:
        raise TileUnknown
    leaves = await queries.list_bodies(session, begin, begin + wanted.width)
    if len(leaves) != wanted.width:
        raise LogBroken(f"{wanted.path} 缺少记录", f"entries of {wanted.path} are missing")
    return encode_bundle([body for _, body in leaves])


async def get_inclusion_proof(session: AsyncSession, runtime: Runtime, index: int, size: int | None) -> InclusionProof:
    """Prove that a leaf stands in the tree of `size` leaves, by default the newest signed one. Raises `SizeUnknown`."""
    newest = (await get_newest_checkpoint(session, runtime)).size
    size = newest if size is None else size
    if not 0 <= index < size <= newest:
        raise SizeUnknown(size=newest)

    def compute(read: NodeReader) -> tuple[list[bytes], bytes, bytes]:
        return inclusion_proof(index, size, read), subtree_root(0, size, read), read(0, index)

    hashes, root, leaf = await queries.compute_with_nodes(session, size, compute)
    return InclusionProof(
        index=index,
        size=size,
        leaf_hash=encode_hashes([leaf])[0],
        root=encode_hashes([root])[0],
        hashes=encode_hashes(hashes),
    )


async def get_consistency_proof(session: AsyncSession, runtime: Runtime, old: int, new: int) -> ConsistencyProof:
    """Prove that the tree of `new` leaves continues the one of `old`. Raises `SizeUnknown`."""
    newest = (await get_newest_checkpoint(session, runtime)).size
    if not 0 <= old <= new <= newest:
        raise SizeUnknown(size=newest)
    hashes = await queries.compute_with_nodes(session, new, lambda read: consistency_proof(old, new, read))
    roots = [await queries.compute_with_nodes(session, size, _root(size)) for size in (old, new)]
    old_root, new_root = encode_hashes(roots)
    return ConsistencyProof(old=old, new=new, old_root=old_root, new_root=new_root, hashes=encode_hashes(hashes))


def _root(size: int) -> Callable[[NodeReader], bytes]:
    return lambda read: subtree_root(0, size, read)


async def get_record_proof(session: AsyncSession, runtime: Runtime, index: int) -> TlogProof:
    """Return the proof of a record under the newest checkpoint. Raises `RecordUnknown`, and `LogBroken` for an altered one."""
    stored = await get_newest_checkpoint(session, runtime)
    leaf = await queries.get_record(session, index)
    if leaf is None or index >= stored.size:
        raise RecordUnknown
    hashes = await queries.compute_with_nodes(
        session, stored.size, lambda read: inclusion_proof(index, stored.size, read)
    )
    if not verify_inclusion(leaf_hash(leaf.body), index, stored.size, hashes, stored.root):
        raise LogBroken(f"第 {index} 条与日志不符", f"entry {index} is not the one that was logged", index=index)
    return TlogProof(index, tuple(hashes), stored.note)
