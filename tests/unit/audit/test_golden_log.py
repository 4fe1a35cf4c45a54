"""The golden log of another implementation, reproduced byte for byte."""

import re
from pathlib import Path

import pytest

from audit.tlog.merkle import consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion
from audit.tlog.signed_notes import Checkpoint, Signer, Verifier, open_checkpoint, sign_checkpoint
from audit.tlog.tiles import ENTRIES, Tile, grow, grow_bundles, node_reader

GOLDEN = Path(__file__).resolve().parents[3].parent / "shared" / "vectors" / "tessera-golden-log"
pytestmark = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden log is not beside this checkout")


@pytest.fixture(scope="module")
def source():
    text = (GOLDEN / "SOURCE.md").read_text(encoding="utf-8")
    words = re.search(r"Leaves in order: (.*?) \(no newline\)", text, re.DOTALL)[1].split()
    signer = Signer.parse(re.search(r"signer `(.*?)`", text)[1])
    verifier = Verifier.parse(re.search(r"verifier `(.*?)`", text)[1])
    return [word.encode() for word in words], signer, verifier


@pytest.fixture(scope="module")
def log(source):
    """Every file of the log, written leaf by leaf."""
    leaves, signer, _ = source
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
    golden = {
        str(path.relative_to(GOLDEN)): path.read_bytes()
        for path in GOLDEN.rglob("*")
        if path.is_file() and path.name != "SOURCE.md"
    }
    assert len(golden) == 47
    assert files == golden


def test_the_golden_checkpoints_open_and_continue_each_other(source, log):
    leaves, signer, verifier = source
    assert signer.verifier == verifier
    read = node_reader(len(leaves), log[1].__getitem__)
    last = open_checkpoint((GOLDEN / "checkpoint").read_bytes(), verifier)
    for size in range(len(leaves) + 1):
        older = open_checkpoint((GOLDEN / f"checkpoint.{size}").read_bytes(), verifier)
        proof = consistency_proof(size, last.size, read)
        assert verify_consistency(older.size, older.root, last.size, last.root, proof)
    for index, leaf in enumerate(leaves):
        assert verify_inclusion(leaf_hash(leaf), index, last.size, inclusion_proof(index, last.size, read), last.root)
