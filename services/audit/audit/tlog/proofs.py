"""The C2SP tlog-proof format: everything that an offline check of one record needs."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from audit.tlog.merkle import HASH_SIZE, leaf_hash, verify_inclusion
from audit.tlog.signed_notes import Checkpoint, NoteError, Verifier, decode_base64, open_checkpoint

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF_HASHES = 64


class ProofError(ValueError):
    """A proof that is not well formed, or does not prove what it should."""


@dataclass(frozen=True, slots=True)
class TlogProof:
    """The index of a record, its inclusion proof, and the signed checkpoint, verbatim.

    `extra` is not authenticated: never trust it.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str
    extra: bytes | None = None

    def to_bytes(self) -> bytes:
        """Return the file's content (`.tlog-proof`)."""
        return "".join([*self._head(), "\n", self.checkpoint]).encode()

    def _head(self) -> Iterable[str]:
        yield f"{HEADER}\n"
        if self.extra is not None:
            yield f"extra {base64.b64encode(self.extra).decode()}\n"
        yield f"index {self.index}\n"
        for part in self.hashes:
            yield f"{base64.b64encode(part).decode()}\n"

    @classmethod
    def parse(cls, data: bytes) -> "TlogProof":
        """Read a proof; raise ProofError when it is malformed. Verifies nothing yet."""
        try:
            head, separator, checkpoint = data.decode().partition("\n\n")
            lines = head.split("\n")
            if not separator or lines.pop(0) != HEADER or not lines:
                raise ProofError("not a tlog-proof")
            extra = decode_base64(lines.pop(0)[6:]) if lines[0].startswith("extra ") else None
            number = re.fullmatch("index (0|[1-9][0-9]{0,18})", lines.pop(0) if lines else "")
            if not number:
                raise ProofError("the proof has no index")
            hashes = tuple(map(decode_base64, lines))
        except (UnicodeDecodeError, NoteError) as error:
            raise ProofError("the proof is not well formed") from error
        if len(hashes) > MAX_PROOF_HASHES or any(len(part) != HASH_SIZE for part in hashes):
            raise ProofError("the proof has too many hashes, or one of another length")
        return cls(int(number[1]), hashes, checkpoint, extra)

    def verify(self, leaf: bytes, log: Verifier, *, origin: str | None = None) -> Checkpoint:
        """Check that `leaf` is the record at `index` under a checkpoint that `log` signed; return the checkpoint."""
        try:
            checkpoint = open_checkpoint(self.checkpoint, log, origin=origin)
        except NoteError as error:
            raise ProofError(f"the checkpoint of the proof does not hold: {error}") from error
        if not verify_inclusion(leaf_hash(leaf), self.index, checkpoint.size, self.hashes, checkpoint.root):
            raise ProofError(f"the record is not leaf {self.index} of the log")
        return checkpoint
