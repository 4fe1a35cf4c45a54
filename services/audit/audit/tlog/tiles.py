"""Tiles: the C2SP tlog-tiles format of a log's hashes and entries.

A hash tile holds up to 256 hashes of the nodes at tree level 8 * its own level; an entry bundle holds up to 256 leaves.
The rightmost ones are partial. A wider version of a tile begins with every narrower one: a store may keep the widest.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from audit.tlog.merkle import HASH_SIZE, Frontier, NodeReader, node_hash, pair_hash

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
PAIR_BYTES = 2 * HASH_SIZE
TILE_BYTES = TILE_WIDTH * HASH_SIZE
MAX_LEAF_BYTES = 0xFFFF
"""The longest leaf: its length must fit the two bytes before it."""
ENTRIES = -1
"""The level of entry bundles."""
TOP_LEVEL = 63


class TileError(ValueError):
    """A malformed tile path, or malformed bytes of a tile."""


class LeafTooLongError(ValueError):
    """A leaf over 65,535 bytes, which an entry bundle cannot hold."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """The name of a tile: its level (`ENTRIES` for an entry bundle), its index within the level, its width."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """The path below the log's prefix, such as `tile/0/x001/234.p/17`."""
        groups = f"{self.index:03d}"
        groups = groups.zfill(-(-len(groups) // 3) * 3)
        parts = [groups[at : at + 3] for at in range(0, len(groups), 3)]
        name = "/".join([*(f"x{part}" for part in parts[:-1]), parts[-1]])
        level = "entries" if self.level == ENTRIES else str(self.level)
        return f"tile/{level}/{name}" + ("" if self.width == TILE_WIDTH else f".p/{self.width}")

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a path; raise TileError when it is not the canonical path of a tile."""
        match = re.fullmatch(
            r"tile/(?P<level>entries|[0-9]{1,2})/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/(?P<width>[0-9]{1,3}))?",
            path,
        )
        if match:
            level = ENTRIES if match["level"] == "entries" else int(match["level"])
            index = int(match["index"].replace("x", "").replace("/", ""))
            tile = cls(level, index, int(match["width"] or TILE_WIDTH))
            if level <= TOP_LEVEL and 0 < tile.width <= TILE_WIDTH and tile.path == path:
                return tile
        raise TileError(f"not the path of a tile: {path[:80]!r}")


ReadTile = Callable[[Tile], bytes]
"""Returns a stored tile, or a wider version of it."""


def _level_tiles(level: int, old: int, new: int) -> Iterator[Tile]:
    """Name the tiles of one level, at their new width, that a growth from `old` to `new` hashes or leaves touches."""
    for index in range(old // TILE_WIDTH, -(-new // TILE_WIDTH)):
        if old < new:
            yield Tile(level, index, min(TILE_WIDTH, new - index * TILE_WIDTH))


def changed_tiles(old: int, new: int) -> list[Tile]:
    """Name the hash tiles of a tree of `new` leaves that one of `old` leaves had not, lowest level first."""
    _check_sizes(old, new)
    found: list[Tile] = []
    level = 0
    while new:
        found += _level_tiles(level, old, new)
        old, new, level = old >> TILE_HEIGHT, new >> TILE_HEIGHT, level + 1
    return found


def changed_bundles(old: int, new: int) -> list[Tile]:
    """Name the entry bundles of a tree of `new` leaves that one of `old` leaves had not."""
    _check_sizes(old, new)
    return list(_level_tiles(ENTRIES, old, new))


def _check_sizes(old: int, new: int) -> None:
    if not 0 <= old <= new:
        raise ValueError(f"a log of {old} leaves does not grow to {new}")


def _cut(tile: Tile, data: bytes) -> bytes:
    """Return the hashes of `tile` out of itself or a wider version."""
    wanted = tile.width * HASH_SIZE
    if len(data) < wanted or len(data) % HASH_SIZE or len(data) > TILE_BYTES:
        raise TileError(f"{tile.path} has {len(data)} bytes instead of {wanted}")
    return data[:wanted]


def node_reader(size: int, read: ReadTile) -> NodeReader:
    """Return the node reader of the tree of `size` leaves; the reader caches tiles and nodes."""
    tiles: dict[Tile, bytes] = {}

    @functools.cache  # the proofs of many leaves share most nodes
    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile_index, offset = divmod(index << height, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> tile_level * TILE_HEIGHT) - tile_index * TILE_WIDTH)
        if offset + (1 << height) > width:
            raise ValueError(f"a tree of {size} leaves has no complete node ({level}, {index})")
        if height:
            return node_hash(node(level - 1, index * 2), node(level - 1, index * 2 + 1))
        tile = Tile(tile_level, tile_index, width)
        if tile not in tiles:
            tiles[tile] = _cut(tile, read(tile))
        return tiles[tile][offset * HASH_SIZE : (offset + 1) * HASH_SIZE]

    return node


def grow(size: int, leaf_hashes: Sequence[bytes], read: ReadTile) -> tuple[Frontier, dict[Tile, bytes]]:
    """Append leaf hashes to a stored tree of `size` leaves; return its new frontier and every tile made or widened.

    `read` is asked for the tiles of the right edge of the old tree. It makes no versions between the old and
    the new size: call it once per checkpoint.
    """
    tiles: dict[Tile, bytes] = {}
    level, begin, fresh = 0, size, b"".join(leaf_hashes)
    while fresh:
        index, width = divmod(begin, TILE_WIDTH)
        before = Tile(level, index, width)
        row = (_cut(before, read(before)) if width else b"") + fresh
        parts = [row[start : start + TILE_BYTES] for start in range(0, len(row), TILE_BYTES)]
        tiles.update((Tile(level, at, len(part) // HASH_SIZE), part) for at, part in enumerate(parts, index))
        level, begin = level + 1, begin >> TILE_HEIGHT
        fresh = b"".join(_root_of(part) for part in parts if len(part) == TILE_BYTES)

    def newest(tile: Tile) -> bytes:
        return tiles[tile] if tile in tiles else read(tile)

    size += len(leaf_hashes)
    return Frontier.load(size, node_reader(size, newest)), tiles


def _root_of(hashes: bytes) -> bytes:
    """Return the root over a full tile: layer by layer, because every leaf passes through it."""
    while len(hashes) > HASH_SIZE:
        hashes = b"".join([pair_hash(hashes[at : at + PAIR_BYTES]) for at in range(0, len(hashes), PAIR_BYTES)])
    return hashes


def encode_bundle(leaves: Sequence[bytes]) -> bytes:
    """Return 1 to 256 leaves as an entry bundle; raise LeafTooLongError for a leaf over 65,535 bytes."""
    if not 0 < len(leaves) <= TILE_WIDTH:
        raise TileError(f"an entry bundle has 1 to 256 leaves, not {len(leaves)}")
    for leaf in leaves:
        if len(leaf) > MAX_LEAF_BYTES:
            raise LeafTooLongError(f"a leaf of {len(leaf)} bytes is longer than the {MAX_LEAF_BYTES} a bundle can hold")
    return b"".join(len(leaf).to_bytes(2, "big") + leaf for leaf in leaves)


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """Return the first `width` leaves of an entry bundle, which must be well formed to its last byte."""
    leaves = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise TileError("the entry bundle ends within a leaf")
        leaves.append(data[at + 2 : end])
        at = end
    if not width <= len(leaves) <= TILE_WIDTH:
        raise TileError(f"the entry bundle has {len(leaves)} leaves instead of {width}")
    return leaves[:width]


def grow_bundles(size: int, leaves: Sequence[bytes], last: bytes = b"") -> dict[Tile, bytes]:
    """Append leaves to the bundles of a log of `size` leaves; `last` is its partial last bundle, if any."""
    index, width = divmod(size, TILE_WIDTH)
    row = [*decode_bundle(last, width), *leaves]
    if len(row) != width + len(leaves):
        raise TileError("the last bundle is not that of the log's size")
    bundles: dict[Tile, bytes] = {}
    for start in range(0, len(row), TILE_WIDTH):
        part = row[start : start + TILE_WIDTH]
        if start + len(part) > width:
            bundles[Tile(ENTRIES, index + start // TILE_WIDTH, len(part))] = encode_bundle(part)
    return bundles
