"""The Merkle tree of RFC 6962: hashes, growth, inclusion and consistency proofs, and their verification.

Node (level, index) is the root of the perfect subtree over the leaves [index * 2**level, (index + 1) * 2**level).
A `NodeReader` supplies the stored nodes on a proof's path, so that proofs never need the leaves.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""The root of the tree without leaves (RFC 6962 section 2.1)."""

NodeReader = Callable[[int, int], bytes]
"""Returns the hash of node (level, index) of a complete subtree."""


class Node(NamedTuple):
    """One completed node and its hash; `position` is its index within the level."""

    level: int
    position: int
    hash: bytes


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes (RFC 6962 section 2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962 section 2.1)."""
    return pair_hash(left + right)


def pair_hash(pair: bytes) -> bytes:
    """Return the hash of the inner node over two adjacent hashes."""
    return hashlib.sha256(b"\x01" + pair).digest()


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Join the roots of ever smaller perfect subtrees, left to right, into one root."""
    *rest, root = hashes
    for left in reversed(rest):
        root = node_hash(left, root)
    return root


def _cover(begin: int, end: int) -> list[tuple[int, int]]:
    """Return the perfect subtrees, largest first, that make up MTH(D[begin:end])."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def subtree_root(begin: int, end: int, read: NodeReader) -> bytes:
    """Return MTH(D[begin:end]); `begin` is a multiple of the largest power of two not above `end - begin`."""
    return _fold([read(level, index) for level, index in _cover(begin, end)]) if begin < end else EMPTY_ROOT


def tree_root(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier.append(leaf)
    return frontier.root()


def frontier_nodes(size: int) -> list[tuple[int, int]]:
    """Return the nodes, left to right, from which a tree of `size` leaves can grow."""
    return _cover(0, size)


class Frontier:
    """The right edge of a tree, at most 64 hashes: enough to append leaves and to compute the root."""

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if len(hashes) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} frontier hashes, got {len(hashes)}")
        self.size = size
        self.hashes = list(hashes)

    @classmethod
    def load(cls, size: int, read: NodeReader) -> "Frontier":
        """Load the frontier of a stored tree of `size` leaves."""
        return cls(size, [read(level, index) for level, index in frontier_nodes(size)])

    def append(self, leaf: bytes) -> list[Node]:
        """Add one leaf hash; return the nodes that it completes, from the leaf upwards."""
        completed = [Node(0, self.size, leaf)]
        while (self.size >> len(completed) - 1) & 1:
            below = completed[-1]
            completed.append(Node(below.level + 1, below.position >> 1, node_hash(self.hashes.pop(), below.hash)))
        self.hashes.append(completed[-1].hash)
        self.size += 1
        return completed

    def root(self) -> bytes:
        """Return the root of the present tree."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: NodeReader) -> list[bytes]:
    """Return the audit path of leaf `index` in a tree of `size` leaves, lowest first (RFC 6962 section 2.1.1)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size} leaves")
    path = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        if index < middle:
            path.append(subtree_root(middle, end, read))
            end = middle
        else:
            path.append(subtree_root(begin, middle, read))
            begin = middle
    return path[::-1]


def consistency_proof(old: int, new: int, read: NodeReader) -> list[bytes]:
    """Return the proof that the tree of `new` leaves continues the one of `old` leaves (RFC 6962 section 2.1.2).

    Empty for equal sizes and for `old` 0: every tree continues the empty tree.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot continue one of {old}")
    path: list[bytes] = []
    begin, end = 0, new
    if old == 0:
        return path
    while old != end:
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        if old <= middle:
            path.append(subtree_root(middle, end, read))
            end = middle
        else:
            path.append(subtree_root(begin, middle, read))
            begin = middle
    # The subtree at the end of the old tree: the verifier knows its root only if it is the old root.
    if begin:
        path.append(subtree_root(begin, end, read))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check that the leaf hash `leaf` stands at `index` in the tree (size, root) (RFC 9162 section 2.1.3.2)."""
    if not 0 <= index < size or any(len(part) != HASH_SIZE for part in proof):
        return False
    node, last, computed = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed = node_hash(part, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = node_hash(computed, part)
        node, last = node >> 1, last >> 1
    return last == 0 and computed == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Check that the tree (new, new_root) continues (old, old_root) (RFC 9162 section 2.1.4.2).

    Every tree continues the empty tree, with an empty proof and only under its one root.
    """
    if not 0 <= old <= new or any(len(part) != HASH_SIZE for part in proof):
        return False
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    return _climb(old, old_root, new, new_root, proof)


def _climb(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Rebuild both roots from a proof between two trees of different, non-zero sizes."""
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    if not proof:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    computed_old = computed_new = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            computed_old, computed_new = node_hash(part, computed_old), node_hash(part, computed_new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed_new = node_hash(computed_new, part)
        node, last = node >> 1, last >> 1
    return last == 0 and computed_old == old_root and computed_new == new_root
