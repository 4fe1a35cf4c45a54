"""The Merkle tree against the recursive definition of RFC 6962, and its proofs against every change."""

import hashlib
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tlog.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    frontier_nodes,
    inclusion_proof,
    leaf_hash,
    node_hash,
    subtree_root,
    tree_root,
    verify_consistency,
    verify_inclusion,
)

MOST = 66
LEAVES = [leaf_hash(f"leaf {n}".encode()) for n in range(700)]


@cache
def mth(begin, end):
    """The definition of section 2.1, word for word."""
    if begin == end:
        return hashlib.sha256(b"").digest()
    if end - begin == 1:
        return LEAVES[begin]
    k = 1
    while k * 2 < end - begin:
        k *= 2
    return hashlib.sha256(b"\x01" + mth(begin, begin + k) + mth(begin + k, end)).digest()


def read(level, index):
    return mth(index << level, (index + 1) << level)


def test_hashes_are_those_that_every_rfc_6962_log_knows():
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"ab") != node_hash(b"a", b"b")


@pytest.mark.parametrize("size", [*range(MOST), 255, 256, 257, 700])
def test_a_tree_grown_leaf_by_leaf_has_the_root_of_the_definition(size):
    frontier = Frontier()
    for leaf in LEAVES[:size]:
        for node in frontier.append(leaf):
            assert node.hash == read(node.level, node.position)
    assert frontier.root() == mth(0, size) == tree_root(LEAVES[:size]) == subtree_root(0, size, read)
    assert Frontier.load(size, read).hashes == frontier.hashes
    assert len(frontier_nodes(size)) == size.bit_count()


def test_a_frontier_of_another_size_is_refused():
    with pytest.raises(ValueError, match="2 frontier hashes"):
        Frontier(3, [LEAVES[0]])


def test_every_inclusion_proof_verifies_and_only_at_its_place():
    for size in range(1, MOST):
        for index in range(size):
            proof = inclusion_proof(index, size, read)
            assert verify_inclusion(LEAVES[index], index, size, proof, mth(0, size))
            others = [n for n in (0, index - 1, index + 1, size - 1, size, -1) if n != index]
            assert not any(verify_inclusion(LEAVES[index], n, size, proof, mth(0, size)) for n in others)
            assert not verify_inclusion(LEAVES[index], index, size, [*proof, LEAVES[0]], mth(0, size))
            assert not proof or not verify_inclusion(LEAVES[index], index, size, proof[:-1], mth(0, size))


def test_every_consistency_proof_verifies_and_only_for_its_trees():
    for new in range(MOST):
        for old in range(new + 1):
            proof = consistency_proof(old, new, read)
            assert verify_consistency(old, mth(0, old), new, mth(0, new), proof)
            assert not verify_consistency(old, mth(0, old), new, mth(0, new), [*proof, LEAVES[0]])
            assert not proof or not verify_consistency(old, mth(0, old), new, mth(0, new), proof[:-1])
            assert not verify_consistency(old, LEAVES[699], new, mth(0, new), proof)
            if old:
                assert not verify_consistency(old, mth(0, old), new, LEAVES[699], proof)


def test_proofs_of_what_is_not_there_are_refused():
    for index, size in [(-1, 3), (3, 3), (0, 0)]:
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_proof(index, size, read)
    for old, new in [(4, 3), (-1, 3)]:
        with pytest.raises(ValueError, match="cannot continue"):
            consistency_proof(old, new, read)
        assert not verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])
    assert not verify_consistency(0, LEAVES[0], 0, LEAVES[0], [])


def flip(data, at, bit):
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(2, 700))
def test_any_changed_bit_of_an_inclusion_proof_is_found(data, size):
    index = data.draw(st.integers(0, size - 1))
    parts = [LEAVES[index], mth(0, size), *inclusion_proof(index, size, read)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flip(parts[which], data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7)))
    leaf, root, *proof = parts
    assert not verify_inclusion(leaf, index, size, proof, root)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(2, 700))
def test_any_changed_bit_of_a_consistency_proof_is_found(data, new):
    old = data.draw(st.integers(1, new - 1))
    parts = [mth(0, old), mth(0, new), *consistency_proof(old, new, read)]
    which = data.draw(st.integers(0, len(parts) - 1))
    parts[which] = flip(parts[which], data.draw(st.integers(0, 31)), data.draw(st.integers(0, 7)))
    old_root, new_root, *proof = parts
    assert not verify_consistency(old, old_root, new, new_root, proof)
