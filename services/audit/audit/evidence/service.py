"""Exports evidence: collects the records, builds the package, and records the export before it leaves."""

import asyncio
import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from audit.evidence import queries
from audit.evidence.models import EvidenceExport
from audit.evidence.package import PackageError, build_package
from audit.evidence.problems import EvidenceEmpty, EvidenceTooLarge, EvidenceUnsettled
from audit.evidence.schemas import EvidenceRequest, EvidenceScope
from audit.log import service as log
from audit.log.models import SignedCheckpoint
from audit.log.problems import LogBroken
from audit.log.queries import compute_with_nodes
from audit.producers.queries import list_missing
from audit.runtime import Runtime
from audit.tlog.merkle import NodeReader, inclusion_proof
from audit.tlog.signed_notes import Signer
from common.contracts.events.audit import EvidenceExported
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox

ZIP_DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every file: the archive's bytes depend on its content alone."""

SETTLE_TIMEOUT_SECONDS = 2.0
"""How long an export waits for overtaken events: a complete package must not show a gap that closes a moment later."""
SETTLE_POLL_SECONDS = 0.1
"""How often it reads the log again meanwhile: a missing event may arrive at another replica."""
MAX_REPORTED_RUNS = 20
"""Runs of missing numbers that `EvidenceUnsettled` names."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A package as a zip file."""

    id: UUID
    data: bytes
    digest: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of an answer with it (RFC 9530 for the digest)."""
        digest = base64.b64encode(bytes.fromhex(self.digest)).decode()
        return {
            "Content-Disposition": f'attachment; filename="evidence-{self.id}.zip"',
            "Repr-Digest": f"sha-256=:{digest}:",
            "Evidence-Id": str(self.id),
            "Cache-Control": "private, no-store",
        }


@dataclass(frozen=True, slots=True)
class _Content:
    stored: SignedCheckpoint
    leaves: list[tuple[int, bytes]]
    proofs: dict[int, list[bytes]]
    complete: tuple[int, int] | None


async def export(runtime: Runtime, principal: Principal, wanted: EvidenceRequest) -> Archive:
    """Build a package and record the export; returns once the record is durable (P3). Clause 12.4.

    Raises `EvidenceTooLarge`, `EvidenceEmpty`, `EvidenceUnsettled`, `LogNotOpen`, and `LogBroken` when a stored record
    differs from the logged one.
    """
    content = await _collect_settled(runtime, wanted)
    now = runtime.clock.now()
    scope = wanted.scope.model_dump(mode="json", exclude_defaults=True)
    context = {
        "why": wanted.purpose,
        "who": principal.subject,
        "when": now.isoformat(),
        "scope": orjson.dumps(scope, option=orjson.OPT_SORT_KEYS).decode(),
    }
    try:
        data = await asyncio.to_thread(_build, runtime.signer, content, context)
    except PackageError as error:
        raise LogBroken(
            "记录与日志不符，无法作为证据", f"the stored records do not prove themselves: {error}"
        ) from None
    archive = Archive(new_id(), data, hashlib.sha256(data).hexdigest())
    async with runtime.database.transaction() as session:
        session.add(
            EvidenceExport(
                id=archive.id,
                exported_by=principal.subject,
                purpose=wanted.purpose,
                scope=scope,
                size=content.stored.size,
                records=len(content.leaves),
                complete=content.complete is not None,
                digest=archive.digest,
                exported_at=now,
            )
        )
        event = EvidenceExported(
            package_id=archive.id,
            exported_by=principal.subject,
            purpose=wanted.purpose,
            size=content.stored.size,
            records=len(content.leaves),
            digest=archive.digest,
        )
        outbox.add(session, event, at=now)
    return archive


async def _collect_settled(runtime: Runtime, wanted: EvidenceRequest) -> _Content:
    """Collect, and retry until `SETTLE_TIMEOUT_SECONDS` while missing numbers may only be late. Raises as `_collect`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE_TIMEOUT_SECONDS
    while True:
        try:
            async with runtime.database.transaction() as session:
                return await _collect(session, runtime, wanted)
        except EvidenceUnsettled:
            if loop.time() > until:
                raise
        await asyncio.sleep(SETTLE_POLL_SECONDS)


async def _collect(session: AsyncSession, runtime: Runtime, wanted: EvidenceRequest) -> _Content:
    settings = runtime.settings
    stored = await log.get_newest_checkpoint(session, runtime)
    count, total = await queries.measure(session, wanted.scope, stored.size)
    if not count:
        raise EvidenceEmpty
    if count > settings.evidence_most_records or total > settings.evidence_most_bytes:
        raise EvidenceTooLarge(
            records=count,
            bytes=total,
            most_records=settings.evidence_most_records,
            most_bytes=settings.evidence_most_bytes,
        )
    if wanted.scope.selective:
        leaves, complete = await queries.list_records(session, wanted.scope, stored.size), None
    else:
        leaves, complete = await _collect_complete(session, wanted.scope, stored.size)

    def prove(read: NodeReader) -> dict[int, list[bytes]]:
        return {index: inclusion_proof(index, stored.size, read) for index, _ in leaves}

    return _Content(stored, leaves, await compute_with_nodes(session, stored.size, prove), complete)


async def _collect_complete(
    session: AsyncSession, scope: EvidenceScope, size: int
) -> tuple[list[tuple[int, bytes]], tuple[int, int]]:
    """Return every leaf from first to last, with the leaves that complete the numbers, and (first, last).

    Raises `EvidenceUnsettled`.
    """
    reach = await queries.list_spans(session, scope, size)
    if late := await list_missing(session, reach, size=size):
        raise EvidenceUnsettled(missing=[each._asdict() for each in late[:MAX_REPORTED_RUNS]])
    leaves = await queries.list_records(session, scope, size)
    first, last = leaves[0][0], leaves[-1][0]
    return sorted(leaves + await queries.list_fillers(session, reach, first, last, size)), (first, last)


def _build(signer: Signer, content: _Content, context: dict[str, str]) -> bytes:
    return _zip(
        build_package(
            signer=signer,
            checkpoint=content.stored.note,
            leaves=content.leaves,
            proof=content.proofs.__getitem__,
            context=context,
            complete=content.complete,
        )
    )


def _zip(files: Iterable[tuple[str, bytes]]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as whole:
        for name, data in files:
            entry = zipfile.ZipInfo(name, ZIP_DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            whole.writestr(entry, data)
    return archive.getvalue()
