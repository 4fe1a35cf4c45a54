"""Checks a Xindun evidence package offline: one file, Python >= 3.11, standard library only.

    python verify.py evidence/ [--key KEY] [--known CHECKPOINT] [--json]

Exit 0: every byte is as the log signed it. Exit 1: a file was changed, added or removed. The output names the first bad
record or file and the change: altered, deleted, inserted, reordered, truncated (shorter than signed), forked, re-signed
(by another key), gap (a complete range lacks a producer's number). Exit 2: the package could not be checked: no such
directory, not a package, unreadable, no trusted key, or a format unknown to this version.

Trust rests on the log's verifier key alone: the one below, or --key. A key in a package is never trusted.
--known is a saved checkpoint of the log: the package's log must continue it.
"""

import argparse
import base64
import functools
import hashlib
import io
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TRUSTED_LOG_KEY = ""

FORMAT = "xindun-evidence/1"
SIGNATURE_HEAD = "cn.xindun/evidence-manifest@v1"
PROOF_HEAD = "c2sp.org/tlog-proof@v1"
PACKAGE_NAMES = {"manifest.json", "manifest.sig", "checkpoint", "README.txt", "records", "proofs"}
FINDING_ORDER = ("records/", "proofs/", "checkpoint", "manifest.json", "manifest.sig")
MAX_FILE_BYTES = 1 << 28
KEY_BYTES = HASH_BYTES = 32
ZH = {
    "altered": "被篡改",
    "deleted": "被删除",
    "inserted": "是多出来的",
    "reordered": "被调换",
    "truncated": "被截断",
    "forked": "与日志分叉",
    "re-signed": "被另一把密钥重新签名",
    "gap": "之前有缺号",
}

Files = Mapping[str, bytes | None]
"""Name to content of the package's files; None stands for a link, a device or an empty directory."""


class UnreadableError(Exception):
    """The package cannot be checked (exit 2); the message is for people, zh and en."""


class TamperedNoteError(ValueError):
    """A note that does not verify; its one argument names the change, such as `altered`."""


class PackageFinding(NamedTuple):
    """A changed file: its name, the change, and a detail in zh and en."""

    name: str
    what: str
    zh: str
    en: str


class VerifierKey(NamedTuple):
    """The log's verifier key: `<name>+<hash>+<base64>`; the name is the log's origin."""

    name: str
    key_hash: bytes
    public: bytes


class TreeHead(NamedTuple):
    """The size and root of the log's tree, as signed."""

    size: int
    root: bytes


# Ed25519 (RFC 8032 section 5.1.7), points in extended coordinates

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def _decode_point(data: bytes) -> Point | None:
    """Return the point; None for an encoding that is not canonical: y >= P, no such x, or x = 0 with the sign bit."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & ((1 << 255) - 1)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


def _add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


BASE = _decode_point((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


@functools.lru_cache(maxsize=64)  # every proof contains the same checkpoint
def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Verify a signature; S must be below L, and R the encoding of SB - kA, so that only one signature verifies."""
    a = _decode_point(public) if (len(public), len(signature)) == (KEY_BYTES, 2 * KEY_BYTES) else None
    s = int.from_bytes(signature[32:], "little")
    if a is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    table = (None, BASE, minus_a, _add(BASE, minus_a))
    total = NEUTRAL
    for bit in range(252, -1, -1):
        total = _add(total, total)
        if term := table[(s >> bit & 1) | (k >> bit & 1) << 1]:
            total = _add(total, term)
    inverse = pow(total[2], -1, P)
    x, y = total[0] * inverse % P, total[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# Notes, checkpoints, proofs


def _base64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("not canonical base64")
    return data


def parse_key(text: str) -> VerifierKey:
    """Parse a verifier key; its hash must be that of its name and key."""
    try:
        name, key_hash, key = text.split("+", 2)
        data = _base64(key)
        if (
            data[:1] == b"\x01"
            and len(data) == KEY_BYTES + 1
            and hashlib.sha256(name.encode() + b"\n" + data).hexdigest()[:8] == key_hash
        ):
            return VerifierKey(name, bytes.fromhex(key_hash), data[1:])
    except ValueError:
        pass
    raise UnreadableError("日志公钥格式不对 / this is not a log's verifier key")


def open_note(note: bytes, key: VerifierKey, *, alone: bool = False) -> str:
    """Return the text that the key signed; `alone`: no other signature may stand beside it."""
    try:
        head, separator, tail = note.decode().rpartition("\n\n")
        lines = [re.fullmatch(r"— ([^\s+]+) (\S+)", line) for line in tail.removesuffix("\n").split("\n")]
        parsed = [(line[1], _base64(line[2])) for line in lines if line]
    except ValueError:
        raise TamperedNoteError("altered") from None
    text = head + "\n"
    if not separator or not tail.endswith("\n") or not all(lines) or (alone and len(lines) > 1):
        raise TamperedNoteError("altered")
    for name, data in parsed:
        holds = ed25519_verify(key.public, text.encode(), data[4:])
        if (name, data[:4]) == (key.name, key.key_hash) and holds:
            return text
        # Another name or hash before the right signature is damage; another signature is by another key.
        if holds or (name, data[:4]) == (key.name, key.key_hash):
            raise TamperedNoteError("altered")
    raise TamperedNoteError("re-signed")


def open_checkpoint(note: bytes, key: VerifierKey) -> TreeHead:
    """Return the size and root that the log signed; its origin is the key's name."""
    lines = open_note(note, key).split("\n")
    try:
        origin, size, root = lines[:3]
        checkpoint = TreeHead(int(size), _base64(root))
        if origin == key.name and str(checkpoint.size) == size and len(checkpoint.root) == HASH_BYTES:
            return checkpoint
    except ValueError:
        pass
    raise TamperedNoteError("altered")


def parse_proof(data: bytes) -> tuple[int, list[bytes], bytes]:
    """Parse a tlog-proof: index, hashes, checkpoint note. Raises ValueError."""
    head, separator, checkpoint = data.partition(b"\n\n")
    lines = head.decode().split("\n")
    if not separator or len(lines) < 2 or lines[0] != PROOF_HEAD or not re.fullmatch(r"index [0-9]{1,19}", lines[1]):  # noqa: PLR2004
        raise ValueError("not a tlog-proof")
    return int(lines[1][6:]), [_base64(line) for line in lines[2:]], checkpoint


# The Merkle tree (RFC 6962; RFC 9162 section 2.1.3.2)


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def _join(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(hashes: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    stack: list[bytes] = []
    for count, leaf in enumerate(hashes):
        stack.append(leaf)
        while count & 1:
            right, left = stack.pop(), stack.pop()
            stack.append(_join(left, right))
            count >>= 1
    root = stack.pop() if stack else hashlib.sha256(b"").digest()
    while stack:
        root = _join(stack.pop(), root)
    return root


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Check that the leaf hash stands at `index` of the tree (size, root)."""
    node, last, computed = index, size - 1, leaf
    for part in proof:
        if last <= 0 or len(part) != len(root):
            return False
        if node & 1 or node == last:
            computed = _join(part, computed)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = _join(computed, part)
        node, last = node >> 1, last >> 1
    return 0 <= index < size and last == 0 and computed == root


# The package


def read_package(root: Path) -> Files:
    """Read everything under `root`; links are not followed."""
    files: dict[str, bytes | None] = {}
    pending = [root]
    try:
        for path in pending:
            children = list(path.iterdir()) if path == root or (path.is_dir() and not path.is_symlink()) else []
            pending += children
            if path != root and not children:
                ordinary = path.is_file() and not path.is_symlink() and path.stat().st_size <= MAX_FILE_BYTES
                files[path.relative_to(root).as_posix()] = path.read_bytes() if ordinary else None
    except OSError as error:
        raise UnreadableError(f"读不了 / cannot be read: {root}: {error.strerror}") from error
    if not PACKAGE_NAMES & {name.split("/")[0] for name in files}:
        raise UnreadableError(f"目录里没有证据包 / nothing of an evidence package in {root}")
    return files


def compare(listed: Mapping[str, tuple[int, str]], files: Files) -> Iterator[PackageFinding]:
    """Find every difference between the signed list (name to size and SHA-256) and the files found."""
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items() if data is not None}
    places = {digest: name for name, (_, digest) in listed.items()}
    strays = {digest: name for name, digest in digests.items() if name not in listed}
    moved = set()
    for name, (size, digest) in listed.items():
        data, place = files.get(name), places.get(digests.get(name, ""))
        if digests.get(name) == digest:
            continue
        if name not in files and digest in strays:
            moved.add(strays[digest])
            where = printable(strays[digest])
            yield PackageFinding(name, "deleted", f"它的内容在 {where}", f"its content is at {where}")
        elif name not in files:
            yield PackageFinding(name, "deleted", "文件不在了", "the file is missing")
        elif data is None:
            yield PackageFinding(name, "altered", "它不是普通文件", "it is not an ordinary file")
        elif place is not None:
            what = "altered" if digests.get(place) == listed[place][1] else "reordered"
            yield PackageFinding(name, what, f"里面是 {place} 的内容", f"it holds the content of {place}")
        elif len(data) < size:
            yield PackageFinding(
                name, "truncated", f"{size} 字节只剩 {len(data)}", f"{len(data)} of {size} bytes are left"
            )
        else:
            yield PackageFinding(name, "altered", "内容与签名的摘要不符", "its content is not what was signed")
    for name, data in files.items():
        needed = data is None and any(other.startswith(f"{name}/") for other in listed)
        if name not in listed and name not in moved and not needed:
            yield PackageFinding(name, "inserted", "签名的清单里没有它", "the signed list does not have it")


def printable(text: str) -> str:
    """Return untrusted text without control characters, for a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text[:200])


def json_object(data: bytes | None) -> dict[str, Any]:
    """Return the JSON object in these bytes (a record is a CloudEvent), or an empty dict."""
    try:
        value = json.loads(data or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def record_name(index: int) -> str:
    """Return the name of a record's file."""
    return f"records/{index:08d}.json"


def proof_name(index: int) -> str:
    """Return the name of the file with a record's proof."""
    return f"proofs/{index:08d}.tlog-proof"


def canonical(value: object) -> bytes:
    """Return the canonical JSON of a manifest."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def signature_text(origin: str, manifest: bytes) -> str:
    """Return the text that the log signs for a package; its second line is no number, so it cannot be a checkpoint."""
    return f"{SIGNATURE_HEAD}\nlog {origin}\nmanifest.json {len(manifest)} {hashlib.sha256(manifest).hexdigest()}\n"


def open_manifest(files: Files, key: VerifierKey) -> PackageFinding | dict[str, Any]:
    """Return the manifest if the log signed it, else the change to it or to its signature."""
    signature, manifest = files.get("manifest.sig"), files.get("manifest.json")
    try:
        if signature is None:
            raise TamperedNoteError("altered" if "manifest.sig" in files else "deleted")
        text = open_note(signature, key, alone=True)
        signed = re.fullmatch(r".*\nmanifest\.json ([0-9]{1,12}) ([0-9a-f]{64})\n", text, re.DOTALL)
        if not signed or not text.startswith(f"{SIGNATURE_HEAD}\nlog {key.name}\n"):
            raise TamperedNoteError("altered")
    except TamperedNoteError as error:
        return PackageFinding(
            "manifest.sig", str(error), "没有日志密钥对清单的签名", "it is not the log's signature of the manifest"
        )
    for finding in compare({"manifest.json": (int(signed[1]), signed[2])}, files):
        if finding.name == "manifest.json":
            return finding
    value = json_object(manifest)
    if value.get("format") != FORMAT:
        raise UnreadableError("证据包格式比本程序新 / a format that this version does not know")
    return value


def damaged_records(files: Files, key: VerifierKey) -> Iterator[PackageFinding]:
    """Find the records that their own proofs refute; used when the manifest is not authentic."""
    for name, leaf in sorted(files.items()):
        proof = files.get(name.replace("records/", "proofs/").replace(".json", ".tlog-proof"))
        if name.startswith("records/") and leaf is not None and proof is not None:
            try:
                index, hashes, note = parse_proof(proof)
                size, root = open_checkpoint(note, key)
            except ValueError:
                continue
            what = "altered" if record_name(index) == name else "reordered"
            if what == "reordered" or not verify_inclusion(leaf_hash(leaf), index, size, hashes, root):
                yield PackageFinding(name, what, f"它不是日志的第 {index} 条", f"it is not entry {index} of the log")


def check_records(
    manifest: dict[str, Any], files: Files, key: VerifierKey, checkpoint: TreeHead
) -> Iterator[PackageFinding]:
    """Check that each record is the log's entry at its index, once and in order."""
    previous = -1
    for record in manifest["records"]:
        index = record["index"]
        name, proof = record_name(index), proof_name(index)
        if record != {"index": index, "file": name, "proof": proof} or index <= previous:
            what = "altered" if index > previous else "inserted" if index == previous else "reordered"
            yield PackageFinding(
                str(record["file"]), what, "清单里位置不对", "it stands at a wrong place of the manifest"
            )
        previous = index
        try:
            at, hashes, note = parse_proof(files[proof] or b"")
            stated = open_checkpoint(note, key)
        except ValueError:
            yield PackageFinding(proof, "altered", "证明不成立", "it is not a proof by this log")
            continue
        if stated != checkpoint:
            what = "forked" if stated.size == checkpoint.size else "altered"
            yield PackageFinding(proof, what, "证明用的是另一个检查点", "it proves another checkpoint")
        elif at != index:
            yield PackageFinding(proof, "reordered", f"它证明的是第 {at} 条", f"it proves entry {at}")
        elif not verify_inclusion(leaf_hash(files[name] or b""), index, *checkpoint[:1], hashes, checkpoint.root):
            yield PackageFinding(name, "altered", f"它不是日志的第 {index} 条", f"it is not entry {index} of the log")


def check_numbers(leaves: Mapping[int, bytes], first: int, last: int) -> Iterator[PackageFinding]:
    """Check that within entries first..last no number of a producer is missing or used twice.

    Producers number from 1, and their events may overtake each other on the way to the log, so records outside of the
    range count too. A heartbeat repeats the last number.
    """
    producers: dict[str, dict[int, int]] = {}
    for index, leaf in sorted(leaves.items()):
        event = json_object(leaf)
        source, sequence, kind = event.get("source"), event.get("sequence"), str(event.get("type"))
        if isinstance(source, str) and isinstance(sequence, str) and re.fullmatch("[0-9]{1,18}", sequence):
            other = (
                index if ".heartbeat." in kind else producers.setdefault(source, {}).setdefault(int(sequence), index)
            )
            if other != index:
                what = "inserted" if leaves[other] == leaf else "forked"
                detail = f"{printable(source)} {sequence}: {record_name(other)}"
                yield PackageFinding(
                    record_name(index), what, f"编号重复 {detail}", f"its number was given twice, {detail}"
                )
    for source, numbers in sorted(producers.items()):
        inside = [number for number, index in numbers.items() if first <= index <= last]
        expected = min([*inside, 1]) if first == 0 else min(inside, default=0)
        for number in sorted(number for number in numbers if expected <= number <= max(inside, default=0)):
            if number > expected:
                detail = f"{printable(source)} {expected}..{number - 1}"
                yield PackageFinding(
                    record_name(numbers[number]), "gap", f"缺少 {detail}", f"missing before it: {detail}"
                )
            expected = number + 1


def check_log(
    manifest: dict[str, Any], files: Files, key: VerifierKey, known: TreeHead | None
) -> Iterator[PackageFinding]:
    """Check the claims of the signed manifest against the log's checkpoint and proofs."""
    try:
        checkpoint = open_checkpoint(files["checkpoint"] or b"", key)
    except TamperedNoteError as error:
        yield PackageFinding("checkpoint", str(error), "它不是日志的检查点", "it is not a checkpoint of the log")
        return
    root = base64.b64encode(checkpoint.root).decode()
    if manifest["checkpoint"] != {"file": "checkpoint", "size": checkpoint.size, "root": root}:
        yield PackageFinding(
            "checkpoint", "forked", "清单说的是另一个检查点", "the manifest tells of another checkpoint"
        )
    yield from check_records(manifest, files, key, checkpoint)
    leaves = {record["index"]: files[record["file"]] or b"" for record in manifest["records"]}
    first, last, complete = (manifest["scope"][word] for word in ("first", "last", "complete"))
    hashes = []
    if complete:
        missing = next((index for index in range(first, last + 1) if index not in leaves), None)
        if missing is not None:
            yield PackageFinding(record_name(missing), "deleted", "范围内缺这一条", "the range claims to have it")
        yield from check_numbers(leaves, first, last)
        hashes = [leaf_hash(leaf) for index, leaf in sorted(leaves.items()) if index <= last and first == 0]
    for trusted in (checkpoint, known):
        if trusted and trusted.size <= len(hashes) and tree_root(hashes[: trusted.size]) != trusted.root:
            yield PackageFinding(
                "checkpoint", "forked", f"前 {trusted.size} 条与之不符", f"the first {trusted.size} entries differ"
            )
    if known and known.size == checkpoint.size and known.root != checkpoint.root:
        yield PackageFinding(
            "checkpoint", "forked", "与先前保存的检查点不符", "it contradicts the checkpoint kept from earlier"
        )
    elif known and known.size > len(hashes) and known.size != checkpoint.size:
        raise UnreadableError("此包不足以对照先前的检查点 / this package cannot be compared with that checkpoint")


def check(files: Files, key: VerifierKey, known: TreeHead | None = None) -> tuple[list[PackageFinding], dict[str, Any]]:
    """Return all findings, by record, and the manifest, empty if it is not authentic."""
    manifest = open_manifest(files, key)
    if isinstance(manifest, PackageFinding):
        return [*damaged_records(files, key), manifest], {}
    try:
        if canonical(manifest) != files["manifest.json"]:
            raise ValueError("not the one form")
        listed = {item["name"]: (item["size"], item["sha256"]) for item in manifest["files"]}
        rest = {name: data for name, data in files.items() if name not in ("manifest.json", "manifest.sig")}
        found = list(compare(listed, rest)) or list(check_log(manifest, files, key, known))
    except (KeyError, TypeError, AttributeError, ValueError):
        found = [
            PackageFinding("manifest.json", "altered", "签名有效但内容不成清单", "it is signed, but is not a manifest")
        ]
    ranks = {
        finding: next((rank for rank, start in enumerate(FINDING_ORDER) if finding.name.startswith(start)), 9)
        for finding in found
    }
    return sorted(found, key=lambda finding: (ranks[finding], finding.name)), manifest


# The command


def report(found: Sequence[PackageFinding], manifest: dict[str, Any], files: Files, key: VerifierKey) -> dict[str, Any]:
    """Return the answer for `--json`; its `zh` and `en` are the output for people."""
    if not found:
        checkpoint, scope, count = manifest["checkpoint"], manifest["scope"], len(manifest["records"])
        zh, en = ("完整", "complete") if scope["complete"] else ("选取", "selected")
        first, last, size = scope["first"], scope["last"], checkpoint["size"]
        return {
            "ok": True,
            "origin": key.name,
            "checkpoint": checkpoint,
            "scope": scope,
            "records": count,
            "zh": f"证据完好:日志 {key.name} 的 {size} 条中,第 {first} 至 {last} 条,{zh},共 {count} 条记录。",
            "en": f"The evidence is intact: of {size} entries of {key.name}, {first} to {last}, {en}: {count} records.",
        }
    name, what, zh, en = found[0]
    event = json_object(files.get(re.sub(r"^proofs/(.*)\.tlog-proof$", r"records/\1.json", name)))
    kind, number = (printable(event[word]) if isinstance(event.get(word), str) else None for word in ("type", "id"))
    whole = printable(name) + (f" ({kind}, {number})" if kind or number else "")
    more_zh, more_en = (f";另有 {len(found) - 1} 处", f"; {len(found) - 1} more") if len(found) > 1 else ("", "")
    return {
        "ok": False,
        "name": name,
        "what": what,
        "event_type": kind,
        "event_id": number,
        "others": [{"name": other.name, "what": other.what} for other in found[1:]],
        "zh": f"证据不可信:{whole} {ZH[what]}:{zh}{more_zh}",
        "en": f"Do not trust this evidence: {whole}: {what}: {en}{more_en}",
    }


def trusted_key(given: str | None) -> VerifierKey:
    """Return the trusted key; `given` must equal the key in this file, if any."""
    if TRUSTED_LOG_KEY and given and given != TRUSTED_LOG_KEY:
        raise UnreadableError("--key 与本程序内的公钥不同 / --key is not the key in this program")
    if not TRUSTED_LOG_KEY and not given:
        raise UnreadableError("没有可信的日志公钥,请用 --key 给出 / no trusted key: give the log's with --key")
    return parse_key(given or TRUSTED_LOG_KEY)


def known_checkpoint(path: Path | None, key: VerifierKey) -> TreeHead | None:
    """Return the saved checkpoint; the log must have signed it."""
    try:
        return open_checkpoint(path.read_bytes(), key) if path else None
    except (OSError, TamperedNoteError) as error:
        raise UnreadableError(
            "先前的检查点读不了或不是此日志的 / the known checkpoint is not one of this log"
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Check the package named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path, help="证据包目录 / the package's directory")
    parser.add_argument("--key", help="日志公钥 / the log's verifier key: name+hash+base64")
    parser.add_argument("--known", type=Path, help="先前保存的检查点 / a checkpoint kept from earlier")
    parser.add_argument("--json", action="store_true", help="机器可读的结果 / answer in JSON")
    options = parser.parse_args(argv)
    try:
        key = trusted_key(options.key)
        known = known_checkpoint(options.known, key)
        files = read_package(options.package)
        found, manifest = check(files, key, known)
        answer = report(found, manifest, files, key)
    except UnreadableError as error:
        answer = {"ok": None, "error": str(error)}
    code = {True: 0, False: 1, None: 2}[answer["ok"]]
    if options.json:
        print(json.dumps(answer | {"exit": code}))
    elif code == 2:  # noqa: PLR2004 - nothing could be checked
        print(f"无法核验 / cannot be checked: {answer['error']}", file=sys.stderr)
    else:
        print(answer["zh"], answer["en"], sep="\n")
    return code


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese still shows the result
    sys.exit(main())
