"""The golden log of another implementation, reproduced byte for byte."""

import hashlib

import pytest

from audit.tlog.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from audit.tlog.signed_notes import Checkpoint, Signer, Verifier, open_checkpoint, sign_checkpoint
from audit.tlog.tiles import ENTRIES, Tile, grow, grow_bundles, node_reader

LEAVES = b"one two three four five six seven eit nain ten ileven twelf threeten fourten fivten".split()
SIGNER = Signer.parse("PRIVATE+KEY+example.com/log/testdata+33d7b496+AeymY/SZAX0jZcJ8enZ5FY1Dz+wTML2yWSkK+9DSF3eg")
VERIFIER = Verifier.parse("example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx")
"""Leaves and published test keys of the golden log of transparency-dev/tessera (`testdata/log`)."""
GOLDEN_FILES = 47
GOLDEN_DIGEST = "8b2e3c1495fa9cffa6dcde4e8cd94ca624a67536d19edcf61ea2fdbc52356443"
"""SHA-256 of the lines `<SHA-256 of the file>  <its path>` of all files of that log, in the order of their paths."""


@pytest.fixture(scope="module")
def log():
    """Every file of the log, written leaf by leaf."""
    leaves, signer = LEAVES, SIGNER
    tiles, files = {}, {}
    for size in range(len(leaves) + 1):
        old = max(size - 1, 0)
        frontier, changed = grow(old, [leaf_hash(leaf) for leaf in leaves[old:size]], tiles.__getitem__)
        changed |= grow_bundles(old, leaves[old:size], tiles.get(Tile(ENTRIES, 0, old), b""))
        tiles |= changed
        files |= {tile.path: data for tile, data in changed.items()}
        note = sign_checkpoint(Checkpoint(signer.name, size, frontier.root()), signer).encode()
        files |= {f"checkpoint.{size}": note, "checkpoint": note}
    return files, tiles


def test_every_file_of_the_golden_log_is_reproduced(log):
    files, _ = log
    lines = "".join(f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in sorted(files.items()))
    assert len(files) == GOLDEN_FILES
    assert hashlib.sha256(lines.encode()).hexdigest() == GOLDEN_DIGEST


def test_the_golden_checkpoints_open_and_continue_each_other(log):
    files, tiles = log
    assert SIGNER.verifier == VERIFIER
    read = node_reader(len(LEAVES), tiles.__getitem__)
    last = open_checkpoint(files["checkpoint"], VERIFIER)
    for size in range(len(LEAVES) + 1):
        older = open_checkpoint(files[f"checkpoint.{size}"], VERIFIER)
        proof = consistency_proof(size, last.size, read)
        assert verify_consistency(older.size, older.root, last.size, last.root, proof)
    for index, leaf in enumerate(LEAVES):
        assert verify_inclusion(leaf_hash(leaf), index, last.size, inclusion_proof(index, last.size, read), last.root)
