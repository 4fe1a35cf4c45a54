"""A small log and evidence packages from it, for the tests of the package and its verifier."""

import json

from audit.evidence.package import build_package
from audit.evidence.verify import main
from audit.tlog.merkle import inclusion_proof, leaf_hash, tree_root
from audit.tlog.signed_notes import Checkpoint, Signer, sign_checkpoint
from audit.tlog.tiles import Tile, grow, node_reader

LOG = Signer("log.example/audit", b"the seed of the log in all tests")
THIEF = Signer("log.example/audit", b"the seed of somebody else's key.")
KEY = str(LOG.verifier)
CONTEXT = {"why": "案件 7", "who": "account:1", "when": "2026-01-05T09:00:00Z", "scope": "all"}


def leaf(source, sequence, number, *, kind="cn.xindun.identity.account.revoked.v1"):
    """A stored event, as the bus brings it."""
    event = {"id": f"id-{number}", "source": source, "specversion": "1.0", "type": kind}
    if sequence is not None:
        event["sequence"] = str(sequence)
    return json.dumps(event, sort_keys=True, separators=(",", ":")).encode()


LEAVES = [
    leaf("/identity", 1, 0),
    leaf("/incident", 1, 1),
    leaf("/identity", 3, 2),
    leaf("/identity", 2, 3),
    leaf("/identity", None, 4),
    leaf("/identity", 4, 5),
]


class Log:
    """A log in memory."""

    def __init__(self, leaves, signer=LOG):
        self.leaves, self.signer = leaves, signer
        hashes = [leaf_hash(one) for one in leaves]
        _, tiles = grow(0, hashes, dict[Tile, bytes]().__getitem__)
        self._read = node_reader(len(leaves), tiles.__getitem__)
        self.checkpoint = sign_checkpoint(Checkpoint(signer.name, len(leaves), tree_root(hashes)), signer)

    def proof(self, index):
        return inclusion_proof(index, len(self.leaves), self._read)

    def package(self, *indices, complete=None, leaves=None, proof=None, checkpoint=None):
        return dict(
            build_package(
                signer=self.signer,
                checkpoint=checkpoint or self.checkpoint,
                leaves=leaves or [(index, self.leaves[index]) for index in indices],
                proof=proof or self.proof,
                context=CONTEXT,
                complete=complete,
            )
        )


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def verdict(capsys, root, *options):
    """Run the verifier; return its exit code and its answer."""
    code = main([str(root), "--key", KEY, "--json", *options])
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit"] == code
    return code, answer
