"""Exports evidence: collects the records, builds the package, and puts the export on record before it leaves."""

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
from audit.evidence.schemas import EvidenceRequest, Scope
from audit.log import service as log
from audit.log.models import SignedCheckpoint
from audit.log.queries import with_nodes
from audit.problems import EvidenceEmpty, EvidenceTooLarge, EvidenceUnsettled, LogBroken
from audit.producers.queries import missing
from audit.runtime import Runtime
from audit.settings import Settings
from audit.tlog.merkle import NodeReader, inclusion_proof
from audit.tlog.signed_notes import Signer
from common.contracts.events.audit import EvidenceExported
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox

__all__ = ["Archive", "export"]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file: the archive's bytes depend on nothing but its content."""

SETTLE = 2.0
"""Seconds to wait for events that were overtaken: what claims to be complete must not show a gap that closes a moment later."""
LOOK_AGAIN = 0.1
"""Seconds between looks meanwhile: what is missing may come to another replica."""
MOST_SHOWN = 20
"""Runs of missing numbers that a refusal names."""


@dataclass(frozen=True, slots=True)
class Archive:
    """A package as a zip file."""

    id: UUID
    data: bytes
    digest: str

    @property
    def headers(self) -> dict[str, str]:
        """What an answer with it says of it (RFC 9530 for the digest)."""
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
    """Build a package and record that it left; returns once that is durable (P3). Clause 12.4.

    Raises `EvidenceTooLarge`, `EvidenceEmpty`, `EvidenceUnsettled`, and `LogBroken` when a stored record is not the one
    that was logged.
    """
    content = await _settled(runtime, wanted)
    now = runtime.clock.now()
    scope = wanted.scope.model_dump(mode="json", exclude_defaults=True)
    context = {
        "why": wanted.purpose,
        "who": principal.subject,
        "when": now.isoformat(),
        "scope": orjson.dumps(scope, option=orjson.OPT_SORT_KEYS).decode(),
    }
    signer: Signer = runtime.signer
    try:
        data = await asyncio.to_thread(_build, signer, content, context)
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


async def _settled(runtime: Runtime, wanted: EvidenceRequest) -> _Content:
    """Collect, again and again for a while if numbers are missing that may only be late. Raises as `_collect`."""
    loop = asyncio.get_running_loop()
    until = loop.time() + SETTLE
    while True:
        try:
            async with runtime.database.transaction() as session:
                return await _collect(session, runtime, wanted)
        except EvidenceUnsettled:
            if loop.time() > until:
                raise
        await asyncio.sleep(LOOK_AGAIN)


async def _collect(session: AsyncSession, runtime: Runtime, wanted: EvidenceRequest) -> _Content:
    settings = runtime.settings
    assert isinstance(settings, Settings)
    stored = await log.newest(session, runtime)
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
        leaves, complete = await queries.records_of(session, wanted.scope, stored.size), None
    else:
        leaves, complete = await _whole(session, wanted.scope, stored.size)

    def prove(read: NodeReader) -> dict[int, list[bytes]]:
        return {index: inclusion_proof(index, stored.size, read) for index, _ in leaves}

    return _Content(stored, leaves, await with_nodes(session, stored.size, prove), complete)


async def _whole(session: AsyncSession, scope: Scope, size: int) -> tuple[list[tuple[int, bytes]], tuple[int, int]]:
    """Return every leaf from first to last, with what fills their numbers, and (first, last). Raises `EvidenceUnsettled`."""
    reach = await queries.spans(session, scope, size)
    if late := await missing(session, reach, size=size):
        raise EvidenceUnsettled(missing=[each._asdict() for each in late[:MOST_SHOWN]])
    leaves = await queries.records_of(session, scope, size)
    first, last = leaves[0][0], leaves[-1][0]
    return sorted(leaves + await queries.fillers(session, reach, first, last, size)), (first, last)


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
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            whole.writestr(entry, data)
    return archive.getvalue()
