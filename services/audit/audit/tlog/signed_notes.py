"""Signed notes and checkpoints: the C2SP formats signed-note and tlog-checkpoint, with Ed25519 keys.

Everything is parsed strictly: a text that is accepted is exactly the text that would be written.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from audit.tlog.merkle import HASH_SIZE

ED25519 = 1
"""The signature type byte of Ed25519 in signed-note."""
KEY_BYTES = 32
MAX_NOTE_SIGNATURES = 64
MAX_NOTE_BYTES = 1_000_000
SIGNER_PREFIX = "PRIVATE+KEY+"
MIN_CHECKPOINT_LINES = 3


class NoteError(ValueError):
    """A key, a note or a checkpoint that is not well formed, or not signed as it must be."""


def decode_base64(text: str) -> bytes:
    """Decode standard base64 in its one canonical form; raise NoteError on anything else."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        raise NoteError(f"not base64: {text[:80]!r}") from error
    if base64.b64encode(data).decode() != text:
        raise NoteError(f"not canonical base64: {text[:80]!r}")
    return data


def _check_name(name: str) -> str:
    if not name or "+" in name or any(char.isspace() or not char.isprintable() for char in name):
        raise NoteError(f"not a key name: {name!r}")
    return name


def _key_hash(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([ED25519]) + public).digest()[:4]


def _parse_key(text: str, of: str) -> tuple[str, bytes, bytes]:
    """Split `<name>+<hash>+<base64>`; the base64 part may itself contain a plus."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not re.fullmatch("[0-9a-f]{8}", parts[1]):  # noqa: PLR2004 - name, hash, key
        raise NoteError(f"not a {of}")
    data = decode_base64(parts[2])
    if len(data) != 1 + KEY_BYTES or data[0] != ED25519:
        raise NoteError(f"not an Ed25519 {of}")
    return _check_name(parts[0]), bytes.fromhex(parts[1]), data[1:]


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public note key: `<name>+<hash>+<base64>`."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """Read a verifier key; its hash must be the one of its name and key."""
        name, key_hash, public = _parse_key(text, "verifier key")
        if key_hash != _key_hash(name, public):
            raise NoteError("the hash of the verifier key is not that of its name and key")
        return cls(name, public)

    @property
    def key_hash(self) -> bytes:
        """The key ID: four bytes."""
        return _key_hash(self.name, self.public)

    def __str__(self) -> str:
        key = base64.b64encode(bytes([ED25519]) + self.public).decode()
        return f"{self.name}+{self.key_hash.hex()}+{key}"

    def verify(self, text: bytes, signature: bytes) -> bool:
        """Check an Ed25519 signature over `text`."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Signer:
    """A private note key: `PRIVATE+KEY+<name>+<hash>+<base64 of the seed>`. Its repr shows no secret."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> "Signer":
        """Read a signer key; its hash must be the one of its name and public key."""
        if not text.startswith(SIGNER_PREFIX):
            raise NoteError("not a signer key")
        name, key_hash, seed = _parse_key(text.removeprefix(SIGNER_PREFIX), "signer key")
        signer = cls(name, seed)
        if key_hash != signer.verifier.key_hash:
            raise NoteError("the hash of the signer key is not that of its name and key")
        return signer

    @property
    def verifier(self) -> Verifier:
        """The public half."""
        return Verifier(self.name, self._key().public_key().public_bytes_raw())

    def private_text(self) -> str:
        """Return the key with its secret, for storing it."""
        key = base64.b64encode(bytes([ED25519]) + self.seed).decode()
        return f"{SIGNER_PREFIX}{self.name}+{self.verifier.key_hash.hex()}+{key}"

    def sign(self, text: bytes) -> bytes:
        """Return the Ed25519 signature over `text`."""
        return self._key().sign(text)

    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def generate_signer(name: str) -> Signer:
    """Generate a key; the name of a log's key is the log's origin."""
    return Signer(_check_name(name), Ed25519PrivateKey.generate().private_bytes_raw())


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line, checked or not."""

    name: str
    key_hash: bytes
    signature: bytes

    def line(self) -> str:
        """Return the line as it stands in a note."""
        return f"— {self.name} {base64.b64encode(self.key_hash + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """An opened note: `signatures` are verified; `unknown` are by keys outside of the verifiers."""

    text: str
    signatures: tuple[NoteSignature, ...]
    unknown: tuple[NoteSignature, ...] = ()


def sign_note(text: str, *signers: Signer) -> str:
    """Return `text` (which ends in a newline) with one signature line per signer."""
    _check_text(text.encode())
    if not text.endswith("\n") or not signers:
        raise NoteError("a note is a text that ends in a newline, and has a signer")
    made = (NoteSignature(signer.name, signer.verifier.key_hash, signer.sign(text.encode())) for signer in signers)
    return text + "\n" + "".join(signature.line() for signature in made)


def _check_text(note: bytes) -> str:
    if len(note) > MAX_NOTE_BYTES:
        raise NoteError("the note is too long")
    try:
        text = note.decode()
    except UnicodeDecodeError as error:
        raise NoteError("the note is not UTF-8") from error
    if any(char < " " and char != "\n" for char in text):
        raise NoteError("the note has control characters")
    return text


def _parse_signature(line: str) -> NoteSignature:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "—":  # noqa: PLR2004 - dash, name, base64
        raise NoteError(f"not a signature line: {line[:80]!r}")
    data = decode_base64(parts[2])
    if len(data) <= 4:  # noqa: PLR2004 - the key hash has four bytes
        raise NoteError("the signature is too short")
    return NoteSignature(_check_name(parts[1]), data[:4], data[4:])


def open_note(note: str | bytes, verifiers: Iterable[Verifier]) -> Note:
    """Check a note: at least one signature by a known key, and none by a known key that is wrong or repeated.

    Signatures by other keys are kept apart and prove nothing. Raises `NoteError`.
    """
    whole = _check_text(note.encode() if isinstance(note, str) else note)
    head, separator, tail = whole.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise NoteError("the note has no signatures")
    text = head + "\n"
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_NOTE_SIGNATURES:
        raise NoteError("the note has too many signatures")
    known = {(verifier.name, verifier.key_hash): verifier for verifier in verifiers}
    checked: dict[tuple[str, bytes], NoteSignature] = {}
    unknown = []
    for signature in map(_parse_signature, lines):
        key = (signature.name, signature.key_hash)
        if key not in known:
            unknown.append(signature)
        elif key in checked or not known[key].verify(text.encode(), signature.signature):
            raise NoteError(f"the signature of {signature.name} is wrong or repeated")
        else:
            checked[key] = signature
    if not checked:
        raise NoteError("the note is not signed by a known key")
    return Note(text, tuple(checked.values()), tuple(unknown))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log commits to: its origin, the number of leaves, the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The text that is signed."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode(), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """Read the text of a checkpoint; raise NoteError when it isn't exactly one."""
        lines = text.split("\n")
        if len(lines) <= MIN_CHECKPOINT_LINES or lines.pop() or not all(lines):
            raise NoteError("a checkpoint is at least three lines, none empty, each ended by a newline")
        origin, size, root, *extensions = lines
        if not re.fullmatch("0|[1-9][0-9]{0,18}", size):
            raise NoteError(f"not a tree size: {size[:30]!r}")
        if len(digest := decode_base64(root)) != HASH_SIZE:
            raise NoteError("the root is not a SHA-256 hash")
        return cls(origin, int(size), digest, tuple(extensions))


def sign_checkpoint(checkpoint: Checkpoint, *signers: Signer) -> str:
    """Return the checkpoint as a signed note; the caller ensures its consistency with every earlier one."""
    Checkpoint.parse(checkpoint.text)
    return sign_note(checkpoint.text, *signers)


def open_checkpoint(note: str | bytes, log: Verifier, *, origin: str | None = None) -> Checkpoint:
    """Check that the log signed this checkpoint, and that its origin is `origin`, by default the key's name."""
    checkpoint = Checkpoint.parse(open_note(note, [log]).text)
    if checkpoint.origin != (log.name if origin is None else origin):
        raise NoteError(f"the checkpoint is of another log: {checkpoint.origin!r}")
    return checkpoint
