"""Proofs and tiles of the log as it is stored."""

from collections.abc import Callable

from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import integrity, queries
from audit.log.models import SignedCheckpoint
from audit.log.schemas import ConsistencyProof, InclusionProof, encode
from audit.log.sequencer import Sequencer
from audit.problems import LogBroken, LogNotOpen, RecordUnknown, SizeUnknown, TileUnknown
from audit.runtime import Runtime
from audit.tlog.merkle import NodeReader, consistency_proof, inclusion_proof, leaf_hash, subtree_root, verify_inclusion
from audit.tlog.proofs import TlogProof
from audit.tlog.signed_notes import Signer
from audit.tlog.tiles import ENTRIES, TILE_WIDTH, Tile, TileError, encode_bundle

__all__ = ["consistency", "entry_bundle", "hash_tile", "inclusion", "newest", "proof_of_record"]


def _sequencer(runtime: Runtime) -> Sequencer:
    sequencer: Sequencer = runtime.sequencer
    return sequencer


async def newest(session: AsyncSession, runtime: Runtime) -> SignedCheckpoint:
    """Return the newest checkpoint. Raises `LogBroken`, `LogNotOpen`: what is known not to hold is not shown as signed."""
    _sequencer(runtime).require_intact()
    stored = await queries.newest_checkpoint(session)
    if stored is None:
        raise LogNotOpen
    signer: Signer = runtime.signer
    integrity.open_signed(stored, signer.verifier)
    return stored


def _parse(path: str) -> Tile:
    try:
        return Tile.parse(path)
    except TileError:
        raise TileUnknown from None


async def hash_tile(session: AsyncSession, path: str) -> bytes:
    """Return the tile `tile/…`. Raises `TileUnknown`: not a path, or beyond the log."""
    wanted = _parse(f"tile/{path}")
    data = None if wanted.level == ENTRIES else await queries.tile(session, wanted)
    if data is None:
        raise TileUnknown
    return data


async def entry_bundle(session: AsyncSession, path: str) -> bytes:
    """Return the entry bundle `tile/entries/…`, made from the stored leaves. Raises `TileUnknown`, `LogBroken`."""
    wanted = _parse(f"tile/entries/{path}")
    begin = wanted.index * TILE_WIDTH
    stored = await queries.newest_checkpoint(session)
    if stored is None or begin + wanted.width > stored.size:
        raise TileUnknown
    leaves = await queries.bodies(session, begin, begin + wanted.width)
    if len(leaves) != wanted.width:
        raise LogBroken(f"{wanted.path} 缺少记录", f"entries of {wanted.path} are missing")
    return encode_bundle([body for _, body in leaves])


async def inclusion(session: AsyncSession, runtime: Runtime, index: int, size: int | None) -> InclusionProof:
    """Prove that a leaf stands in the tree of `size` leaves, the newest signed one if not said. Raises `SizeUnknown`."""
    most = (await newest(session, runtime)).size
    size = most if size is None else size
    if not 0 <= index < size <= most:
        raise SizeUnknown(size=most)

    def compute(read: NodeReader) -> tuple[list[bytes], bytes, bytes]:
        return inclusion_proof(index, size, read), subtree_root(0, size, read), read(0, index)

    hashes, root, leaf = await queries.with_nodes(session, size, compute)
    return InclusionProof(
        index=index, size=size, leaf_hash=encode([leaf])[0], root=encode([root])[0], hashes=encode(hashes)
    )


async def consistency(session: AsyncSession, runtime: Runtime, old: int, new: int) -> ConsistencyProof:
    """Prove that the tree of `new` leaves continues the one of `old`. Raises `SizeUnknown`."""
    most = (await newest(session, runtime)).size
    if not 0 <= old <= new <= most:
        raise SizeUnknown(size=most)
    hashes = await queries.with_nodes(session, new, lambda read: consistency_proof(old, new, read))
    roots = [await queries.with_nodes(session, size, _root(size)) for size in (old, new)]
    old_root, new_root = encode(roots)
    return ConsistencyProof(old=old, new=new, old_root=old_root, new_root=new_root, hashes=encode(hashes))


def _root(size: int) -> Callable[[NodeReader], bytes]:
    return lambda read: subtree_root(0, size, read)


async def proof_of_record(session: AsyncSession, runtime: Runtime, index: int) -> TlogProof:
    """Return the proof of a record under the newest checkpoint. Raises `RecordUnknown`, and `LogBroken` for an altered one."""
    stored = await newest(session, runtime)
    leaf = await queries.record(session, index)
    if leaf is None or index >= stored.size:
        raise RecordUnknown
    hashes = await queries.with_nodes(session, stored.size, lambda read: inclusion_proof(index, stored.size, read))
    if not verify_inclusion(leaf_hash(leaf.body), index, stored.size, hashes, stored.root):
        raise LogBroken(f"第 {index} 条与日志不符", f"entry {index} is not the one that was logged", index=index)
    return TlogProof(index, tuple(hashes), stored.note)
