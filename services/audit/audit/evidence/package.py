"""The evidence package: records of the log with everything that an offline check needs.

    manifest.json               canonical JSON: context, scope, checkpoint, records, and every other file's size and SHA-256
    manifest.sig                signed note by the log's key over the digest of the manifest
    checkpoint                  the log's signed checkpoint, verbatim
    records/<index>.json        the stored leaf, byte for byte; the index has at least 8 digits
    proofs/<index>.tlog-proof   its inclusion proof under that checkpoint
    README.txt                  purpose and way of the check, zh and en

The signature fixes the manifest, and the manifest fixes every other file, so that no byte is free. The verifier
defines the format besides this text; this module uses its names and forms.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from audit.evidence import verify
from audit.tlog.merkle import leaf_hash, verify_inclusion
from audit.tlog.proofs import TlogProof
from audit.tlog.signed_notes import NoteError, Signer, Verifier, open_checkpoint, sign_note

README = """\
信盾证据包

本目录是审计日志中若干条记录的证据。records/ 是日志保存的原文,逐字节未改;proofs/ 证明每条记录在日志中的位置;
checkpoint 是日志签名的检查点;manifest.json 列出其余每个文件的长度和摘要,由 manifest.sig 签名。
核验:取得 verify.py(只用 Python 3.11 以上标准库,不联网),运行 python verify.py <本目录>
结果 0:完好。1:有改动,并指出第一处。2:无法核验。
请从主管部门另行取得日志公钥并与 verify.py 中的核对:包内的任何公钥都不可信。

Xindun evidence package

This directory is evidence from the audit log. records/ are the entries as the log keeps them, byte for byte; proofs/ show
the place of each in the log; checkpoint is signed by the log; manifest.json has the length and digest of every other file
and is signed in manifest.sig.
To check it: get verify.py (Python 3.11 or newer, standard library only, no network), run python verify.py <this directory>
Exit 0: intact. 1: something was changed, the first of it is named. 2: it could not be checked.
Compare the log's public key with the one in verify.py, out of band: no key inside a package is to be trusted.
"""


class PackageError(ValueError):
    """The arguments do not make a package that the verifier would confirm."""


def build_package(
    *,
    signer: Signer,
    checkpoint: str,
    leaves: Iterable[tuple[int, bytes]],
    proof: Callable[[int], Sequence[bytes]],
    context: Mapping[str, str],
    complete: tuple[int, int] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of each file of a package that a third party can check offline. Clause 12.4.

    `leaves` are (index, stored bytes) in ascending order, each with `proof(index)` under `checkpoint`, the log's signed
    note. `context` says why, who, when and scope. `complete` (first, last) claims that every entry of that range is
    contained; the verifier then also checks the producers' numbers for gaps. Leaves outside of the range may fill an
    apparent gap, because events of one producer may overtake each other.

    Raises `PackageError` when a record has no valid proof or the range is not whole; it has yielded nothing signed then.
    """
    files: list[dict[str, object]] = []
    records: list[dict[str, object]] = []
    indices: list[int] = []

    def listed(name: str, content: bytes) -> tuple[str, bytes]:
        files.append({"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()})
        return name, content

    try:
        tree = open_checkpoint(checkpoint, signer.verifier)
    except NoteError as error:
        raise PackageError("the checkpoint is not one of this log") from error
    for index, leaf in leaves:
        evidence = TlogProof(index, tuple(proof(index)), checkpoint)
        if not verify_inclusion(leaf_hash(leaf), index, tree.size, evidence.hashes, tree.root):
            raise PackageError(f"record {index} has no valid proof")
        if indices and index <= indices[-1]:
            raise PackageError("the records are not in ascending order")
        indices.append(index)
        name, proof_name = verify.record_name(index), verify.proof_name(index)
        records.append({"index": index, "file": name, "proof": proof_name})
        yield listed(name, leaf)
        yield listed(proof_name, evidence.to_bytes())
    if not indices:
        raise PackageError("a package has at least one record")
    first, last = complete or (indices[0], indices[-1])
    if complete and sum(first <= index <= last for index in indices) != last - first + 1:
        raise PackageError(f"not every entry from {first} to {last} is given")
    yield listed("checkpoint", checkpoint.encode())
    yield listed("README.txt", README.encode())
    files.sort(key=lambda file: str(file["name"]))
    manifest = verify.canonical(
        {
            "format": verify.FORMAT,
            "origin": tree.origin,
            "context": dict(context),
            "scope": {"first": first, "last": last, "complete": complete is not None},
            "checkpoint": {"file": "checkpoint", "size": tree.size, "root": base64.b64encode(tree.root).decode()},
            "records": records,
            "files": files,
        }
    )
    yield "manifest.json", manifest
    yield "manifest.sig", sign_note(verify.signature_text(tree.origin, manifest), signer).encode()


def render_verifier(verifier_key: str) -> str:
    """Return the verifier's source with the log's key pinned in it; NoteError when it isn't a verifier key."""
    source = Path(verify.__file__).read_text(encoding="utf-8")
    empty = '\nTRUSTED_LOG_KEY = ""\n'
    if source.count(empty) != 1:
        raise PackageError("the verifier has no empty place for the key")
    return source.replace(empty, f"\nTRUSTED_LOG_KEY = {json.dumps(str(Verifier.parse(verifier_key)))}\n")
