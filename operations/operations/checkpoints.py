"""Checks the log's checkpoints from outside: by reckoning of its own, so that a broken log cannot vouch for itself.

Formats: C2SP signed-note and tlog-checkpoint; consistency as in RFC 9162 §2.1.4.2.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["Checkpoint", "CheckpointWrong", "continues", "keep", "kept", "read_checkpoint"]

ED25519 = b"\x01"


class CheckpointWrong(Exception):  # noqa: N818 - says what it is
    """Not a checkpoint of this log, or not signed by it."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's signed word on its size and root."""

    origin: str
    size: int
    root: bytes


def read_checkpoint(note: str, key: str) -> Checkpoint:
    """Return what the log whose verifier `key` is (`name+hash+base64`) has signed. Raises `CheckpointWrong`."""
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
        raise CheckpointWrong from None


def continues(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> bool:
    """Whether everything that `old` signs stands unchanged under `new`."""
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
    was = now = path[0]
    for part in path[1:]:
        if last == 0:
            return False
        if left & 1 or left == last:
            was, now = _node(part, was), _node(part, now)
            while left and not left & 1:
                left, last = left >> 1, last >> 1
        else:
            now = _node(now, part)
        left, last = left >> 1, last >> 1
    return last == 0 and was == old.root and now == new.root


def kept(file: Path) -> tuple[Checkpoint, str] | None:
    """Return the checkpoint that was kept in `file`, and the log's key of then; None: nothing was."""
    if not file.exists():
        return None
    known = orjson.loads(file.read_bytes())
    return Checkpoint(known["origin"], known["size"], base64.b64decode(known["root"])), known["key"]


def keep(file: Path, checkpoint: Checkpoint, key: str) -> None:
    """Keep a checkpoint for the next look."""
    root = base64.b64encode(checkpoint.root).decode()
    file.write_bytes(orjson.dumps({"origin": checkpoint.origin, "size": checkpoint.size, "root": root, "key": key}))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
