"""Verifies the log's checkpoints without the log's own code, so that a faulty log cannot confirm itself.

Formats: C2SP signed-note and tlog-checkpoint; consistency proofs by RFC 9162 §2.1.4.2.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"


class CheckpointError(Exception):
    """The note is not a checkpoint of this log, or the log did not sign it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The size and the root hash that a log has signed."""

    origin: str
    size: int
    root: bytes


def read_checkpoint(note: str, key: str) -> Checkpoint:
    """Return the checkpoint that verifier key `key` (`name+hash+base64`) verifies. Raises `CheckpointError`."""
    try:
        name, key_hash, encoded = key.split("+", 2)
        public = base64.b64decode(encoded, validate=True)
        text, _, signatures = note.rpartition("\n\n")
        origin, size, root = (text + "\n").split("\n")[:3]
        own = [line.split(" ")[2] for line in signatures.splitlines() if line.startswith(f"— {name} ")]
        signed = [base64.b64decode(each, validate=True) for each in own]
        if origin != name or public[:1] != ED25519 or not size.isdecimal():
            raise ValueError(origin)
        verifier = Ed25519PublicKey.from_public_bytes(public[1:])
        signature = next(each[4:] for each in signed if each[:4].hex() == key_hash)
        verifier.verify(signature, (text + "\n").encode())
        return Checkpoint(origin, int(size), base64.b64decode(root, validate=True))
    except (ValueError, IndexError, StopIteration, InvalidSignature):
        raise CheckpointError from None


def is_consistent(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether `proof` shows that the log of `new` begins with the log of `old`."""
    if old.size > new.size or old.origin != new.origin:
        return False
    if old.size in (0, new.size):
        return not proof and (old.size == 0 or old.root == new.root)
    path = list(proof) if old.size & (old.size - 1) else [old.root, *proof]
    if not proof:
        return False
    left, last = old.size - 1, new.size - 1
    while left & 1:
        left, last = left >> 1, last >> 1
    old_root = new_root = path[0]
    for node in path[1:]:
        if last == 0:
            return False
        if left & 1 or left == last:
            old_root, new_root = _parent(node, old_root), _parent(node, new_root)
            while left and not left & 1:
                left, last = left >> 1, last >> 1
        else:
            new_root = _parent(new_root, node)
        left, last = left >> 1, last >> 1
    return last == 0 and old_root == old.root and new_root == new.root


def load(file: Path) -> tuple[Checkpoint, str] | None:
    """Return the checkpoint and the verifier key in `file`; None if there is no file."""
    if not file.exists():
        return None
    stored = orjson.loads(file.read_bytes())
    return Checkpoint(stored["origin"], stored["size"], base64.b64decode(stored["root"])), stored["key"]


def store(file: Path, checkpoint: Checkpoint, key: str) -> None:
    """Write a checkpoint for the next check."""
    root = base64.b64encode(checkpoint.root).decode()
    file.write_bytes(orjson.dumps({"origin": checkpoint.origin, "size": checkpoint.size, "root": root, "key": key}))


def _parent(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
