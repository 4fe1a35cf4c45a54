"""Where the log is read, proved and checked: what proves itself is public, what it says needs `log.read`."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response

from audit.log import queries, service
from audit.log.queries import RecordFilter
from audit.log.schemas import ConsistencyProof, InclusionProof, LogKey, RecordView, RejectedView, WholeRecord
from audit.permissions import CanReadLog
from audit.problems import RecordUnknown
from audit.runtime import RuntimeDep
from audit.tlog.signed_notes import Signer
from common.problems import Invalid
from common.web.authorization import Anonymous
from common.web.dependencies import SessionDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from common.web.timestamps import Timestamp

__all__ = ["routes"]

routes = router("/audit", "log")

MOST_NUMBER = (1 << 63) - 1
Number = Annotated[int, Path(ge=0, le=MOST_NUMBER)]
Asked = Annotated[int, Query(ge=0, le=MOST_NUMBER)]
Word = Annotated[str | None, Query(max_length=300, pattern=r"^[^\x00]*$")]
FOREVER = "public, max-age=31536000, immutable"
"""A tile never changes: a wider one has another name."""
PLAIN = "text/plain; charset=utf-8"
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class _Raw(Response):
    """Lets the document say of an answer only what `responses` says."""

    media_type = None


@routes.get("/checkpoint", response_class=_Raw, responses=TEXT)
async def read_checkpoint(_: Anonymous, session: SessionDep, runtime: RuntimeDep) -> Response:
    """Read the newest checkpoint: a signed note (C2SP tlog-checkpoint)."""
    stored = await service.newest(session, runtime)
    return Response(stored.note, media_type=PLAIN, headers={"Cache-Control": "no-cache"})


@routes.get("/log-key")
async def read_log_key(_: Anonymous, runtime: RuntimeDep) -> LogKey:
    """Read the log's verifier key. Compare it with what the authority publishes elsewhere before trusting it."""
    signer: Signer = runtime.signer
    return LogKey(origin=signer.name, key=str(signer.verifier))


@routes.get("/verify.py", response_class=_Raw, responses=TEXT)
async def read_verifier(_: Anonymous, runtime: RuntimeDep) -> Response:
    """Get the offline verifier of evidence packages with the log's key in it: one file, standard library only."""
    source: str = runtime.verifier_source
    headers = {"Cache-Control": "no-cache", "Content-Disposition": 'attachment; filename="verify.py"'}
    return Response(source, media_type="text/x-python; charset=utf-8", headers=headers)


# Before the hash tiles, whose path takes everything.
@routes.get("/tile/entries/{path:path}", response_class=_Raw, responses=BYTES)
async def read_entries(path: str, _: CanReadLog, session: SessionDep) -> Response:
    """Read an entry bundle (C2SP tlog-tiles): up to 256 leaves, each after its length in two bytes."""
    data = await service.entry_bundle(session, path)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "private, no-store"})


@routes.get("/tile/{path:path}", response_class=_Raw, responses=BYTES)
async def read_tile(path: str, _: Anonymous, session: SessionDep) -> Response:
    """Read a hash tile (C2SP tlog-tiles), such as `tile/0/x001/234.p/17`."""
    data = await service.hash_tile(session, path)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": FOREVER})


async def asked_for(
    *,
    subject: Word = None,
    actor: Word = None,
    type: Word = None,  # noqa: A002 - the member's name
    request_id: Word = None,
    since: Timestamp | None = None,
    until: Timestamp | None = None,
    order: Literal["newest", "oldest"] = "newest",
) -> RecordFilter:
    """Return what the query asks for; `async` because a plain function would cost a thread hop per request."""
    return RecordFilter(subject, actor, type, request_id, since, until, order)


@routes.get("/records")
async def list_records(
    wanted: Annotated[RecordFilter, Depends(asked_for)],
    page: PageDep,
    _: CanReadLog,
    session: SessionDep,
) -> Page[RecordView]:
    """List records by index, the newest first unless asked otherwise; times are `since` (included) to `until`."""
    after = page.after.int if page.after else None
    if after is not None and after > MOST_NUMBER:
        raise Invalid("cursor 无效", "The cursor is not valid", parameter="cursor")
    rows = await queries.list_records(session, wanted, after, page)
    return page_of(page, rows, lambda leaf: RecordView(**RecordView.members(leaf)), lambda leaf: UUID(int=leaf.index))


@routes.get("/records/{index}")
async def read_record(index: Number, _: CanReadLog, session: SessionDep) -> WholeRecord:
    """Read a record with its stored bytes."""
    leaf = await queries.record(session, index)
    if leaf is None:
        raise RecordUnknown
    return WholeRecord.of(leaf)


@routes.get("/records/{index}/proof", response_class=_Raw, responses=TEXT)
async def read_proof(index: Number, _: CanReadLog, session: SessionDep, runtime: RuntimeDep) -> Response:
    """Read the proof of a record (C2SP tlog-proof): its place, and the signed checkpoint that it stands under."""
    proof = await service.proof_of_record(session, runtime, index)
    headers = {"Content-Disposition": f'attachment; filename="{index:08d}.tlog-proof"'}
    return Response(proof.to_bytes(), media_type=PLAIN, headers=headers)


@routes.get("/proofs/inclusion")
async def prove_inclusion(
    index: Asked,
    _: CanReadLog,
    session: SessionDep,
    runtime: RuntimeDep,
    size: Annotated[int | None, Query(ge=0, le=MOST_NUMBER)] = None,
) -> InclusionProof:
    """Prove that a leaf stands in the tree of `size` leaves (the newest one, if not said)."""
    return await service.inclusion(session, runtime, index, size)


@routes.get("/proofs/consistency")
async def prove_consistency(
    old: Asked, new: Asked, _: CanReadLog, session: SessionDep, runtime: RuntimeDep
) -> ConsistencyProof:
    """Prove that a later tree continues an earlier one."""
    return await service.consistency(session, runtime, old, new)


@routes.get("/rejected")
async def list_rejected(page: PageDep, _: CanReadLog, session: SessionDep) -> Page[RejectedView]:
    """List the messages that could not become records, by digest and reason."""
    rows = await queries.list_rejected(session, page)
    return page_of(page, rows, RejectedView.of, lambda row: row.id)
