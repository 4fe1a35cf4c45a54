"""The tlog-proof of a record: self-contained, exact, and worthless after any change."""

import pytest

from audit.tlog.merkle import inclusion_proof, leaf_hash, tree_root
from audit.tlog.proofs import ProofError, TlogProof
from audit.tlog.signed_notes import Checkpoint, generate_signer, sign_checkpoint
from audit.tlog.tiles import Tile, grow, node_reader

LOG = generate_signer("log.example/audit")
LEAVES = [b"a", b"b", b"c", b"d", b"e"]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


@pytest.fixture(scope="module")
def proof():
    _, tiles = grow(0, HASHES, dict[Tile, bytes]().__getitem__)
    hashes = inclusion_proof(2, 5, node_reader(5, tiles.__getitem__))
    note = sign_checkpoint(Checkpoint(LOG.name, 5, tree_root(HASHES)), LOG)
    return TlogProof(2, tuple(hashes), note)


def test_a_proof_has_the_form_of_the_specification(proof):
    lines = proof.to_bytes().decode().split("\n")
    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 2"]
    assert lines[2 + len(proof.hashes)] == ""
    assert proof.to_bytes().decode().endswith("\n\n" + proof.checkpoint)


@pytest.mark.parametrize("extra", [None, b"", b"anything"])
def test_a_proof_is_read_as_it_is_written_and_verifies(proof, extra):
    written = TlogProof(proof.index, proof.hashes, proof.checkpoint, extra)
    read = TlogProof.parse(written.to_bytes())
    assert read == written
    assert read.verify(b"c", LOG.verifier).size == 5


def test_a_proof_holds_for_its_record_its_log_and_its_index_only(proof):
    for leaf, key in [(b"d", LOG), (b"c", generate_signer(LOG.name))]:
        with pytest.raises(ProofError):
            proof.verify(leaf, key.verifier)
    with pytest.raises(ProofError):
        TlogProof(3, proof.hashes, proof.checkpoint).verify(b"c", LOG.verifier)
    with pytest.raises(ProofError):
        proof.verify(b"c", LOG.verifier, origin="other.example")


def test_every_changed_byte_of_a_proof_is_found(proof):
    data = proof.to_bytes()
    for at in range(len(data)):
        for changed in (data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], data[:at] + data[at + 1 :]):
            with pytest.raises(ProofError):
                TlogProof.parse(changed).verify(b"c", LOG.verifier)


@pytest.mark.parametrize("text", ["", "\n\n", "index 0\n\nx", "c2sp.org/tlog-proof@v1\n\nx"])
def test_what_is_not_a_proof_is_refused(text):
    with pytest.raises(ProofError):
        TlogProof.parse(text.encode())
