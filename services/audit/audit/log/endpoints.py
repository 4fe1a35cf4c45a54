"""Endpoints of the log: what proves itself is public, the records require `log.read`."""

from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Response

from audit.log import queries, service
from audit.log.problems import LogBroken, LogNotOpen, RecordUnknown, SizeUnknown, TileUnknown
from audit.log.queries import MAX_INDEX, RecordFilter
from audit.log.schemas import (
    ConsistencyProof,
    InclusionProof,
    LogKey,
    Record,
    RecordSummary,
    RejectedMessageResponse,
)
from audit.permissions import CanReadLog
from audit.runtime import RuntimeDep
from common.web.authorization import Anonymous
from common.web.dependencies import SessionDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from common.web.timestamps import Timestamp

routes = router("/audit", "log")

IndexPath = Annotated[int, Path(ge=0, le=MAX_INDEX)]
IndexQuery = Annotated[int, Query(ge=0, le=MAX_INDEX)]
SearchQuery = Annotated[str | None, Query(max_length=300, pattern=r"^[^\x00]*$")]
IMMUTABLE = "public, max-age=31536000, immutable"
"""A tile never changes: a wider one has another name."""
PLAIN_TEXT = "text/plain; charset=utf-8"
TEXT: dict[int | str, dict[str, Any]] = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
}


class _RawResponse(Response):
    """Leaves the documented media type of an answer to `responses`."""

    media_type = None


@routes.get("/checkpoint", response_class=_RawResponse, responses=TEXT)
@operation("获取最新检查点", "Get the newest checkpoint", LogBroken, LogNotOpen)
async def get_checkpoint(_: Anonymous, session: SessionDep, runtime: RuntimeDep) -> Response:
    """Return the newest checkpoint: a signed note (C2SP tlog-checkpoint)."""
    stored = await service.get_newest_checkpoint(session, runtime)
    return Response(stored.note, media_type=PLAIN_TEXT, headers={"Cache-Control": "no-cache"})


@routes.get("/log-key")
@operation("获取日志公钥", "Get the log's verifier key")
async def get_log_key(_: Anonymous, runtime: RuntimeDep) -> LogKey:
    """Return the log's verifier key. Compare it with the authority's publication elsewhere before trusting it."""
    return LogKey(origin=runtime.signer.name, key=str(runtime.signer.verifier))


@routes.get("/verify.py", response_class=_RawResponse, responses=TEXT)
@operation("下载离线核验程序", "Get the offline verifier")
async def get_verifier(_: Anonymous, runtime: RuntimeDep) -> Response:
    """Return the offline verifier of evidence packages with the log's key in it: one file, standard library only."""
    headers = {"Cache-Control": "no-cache", "Content-Disposition": 'attachment; filename="verify.py"'}
    return Response(runtime.verifier_source, media_type="text/x-python; charset=utf-8", headers=headers)


# Before the hash tiles, whose path matches everything.
@routes.get("/tile/entries/{path:path}", response_class=_RawResponse, responses=BYTES)
@operation("获取日志条目包", "Get an entry bundle", TileUnknown, LogBroken)
async def get_entry_bundle(path: str, _: CanReadLog, session: SessionDep) -> Response:
    """Return an entry bundle (C2SP tlog-tiles): up to 256 leaves, each after its length in two bytes."""
    data = await service.get_entry_bundle(session, path)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "private, no-store"})


@routes.get("/tile/{path:path}", response_class=_RawResponse, responses=BYTES)
@operation("获取哈希切片", "Get a hash tile", TileUnknown)
async def get_hash_tile(path: str, _: Anonymous, session: SessionDep) -> Response:
    """Return a hash tile (C2SP tlog-tiles), such as `tile/0/x001/234.p/17`."""
    data = await service.get_hash_tile(session, path)
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": IMMUTABLE})


async def record_filter(
    *,
    subject: SearchQuery = None,
    actor: SearchQuery = None,
    type: SearchQuery = None,  # noqa: A002 - the member's name
    request_id: SearchQuery = None,
    since: Timestamp | None = None,
    until: Timestamp | None = None,
    order: Literal["newest", "oldest"] = "newest",
) -> RecordFilter:
    """Return the filter of a request; `async` because a plain function would cost a thread hop per request."""
    return RecordFilter(subject, actor, type, request_id, since, until, order)


@routes.get("/records")
@operation("检索日志记录", "List records")
async def list_records(
    wanted: Annotated[RecordFilter, Depends(record_filter)], page: PageDep, _: CanReadLog, session: SessionDep
) -> Page[RecordSummary]:
    """List records by index, by default the newest first; times are from `since` (included) to `until`."""
    return Page.of(await queries.list_records(session, wanted, page), RecordSummary.of)


@routes.get("/records/{index}")
@operation("查看日志记录", "Get a record", RecordUnknown)
async def get_record(index: IndexPath, _: CanReadLog, session: SessionDep) -> Record:
    """Return a record with its stored bytes."""
    leaf = await queries.get_record(session, index)
    if leaf is None:
        raise RecordUnknown
    return Record.with_bytes(leaf)


@routes.get("/records/{index}/proof", response_class=_RawResponse, responses=TEXT)
@operation("获取记录的存在证明", "Get the proof of a record", RecordUnknown, LogBroken, LogNotOpen)
async def get_record_proof(index: IndexPath, _: CanReadLog, session: SessionDep, runtime: RuntimeDep) -> Response:
    """Return the proof of a record (C2SP tlog-proof): its index, its inclusion proof and the signed checkpoint."""
    proof = await service.get_record_proof(session, runtime, index)
    headers = {"Content-Disposition": f'attachment; filename="{index:08d}.tlog-proof"'}
    return Response(proof.to_bytes(), media_type=PLAIN_TEXT, headers=headers)


@routes.get("/proofs/inclusion")
@operation("获取包含证明", "Get an inclusion proof", SizeUnknown, LogBroken, LogNotOpen)
async def get_inclusion_proof(
    index: IndexQuery,
    _: CanReadLog,
    session: SessionDep,
    runtime: RuntimeDep,
    size: Annotated[int | None, Query(ge=0, le=MAX_INDEX)] = None,
) -> InclusionProof:
    """Prove that a leaf stands in the tree of `size` leaves, by default the newest one."""
    return await service.get_inclusion_proof(session, runtime, index, size)


@routes.get("/proofs/consistency")
@operation("获取一致性证明", "Get a consistency proof", SizeUnknown, LogBroken, LogNotOpen)
async def get_consistency_proof(
    old: IndexQuery, new: IndexQuery, _: CanReadLog, session: SessionDep, runtime: RuntimeDep
) -> ConsistencyProof:
    """Prove that a later tree continues an earlier one."""
    return await service.get_consistency_proof(session, runtime, old, new)


@routes.get("/rejected")
@operation("查看被拒收的消息列表", "List rejected messages")
async def list_rejected_messages(page: PageDep, _: CanReadLog, session: SessionDep) -> Page[RejectedMessageResponse]:
    """List the messages that could not become records, by digest and reason."""
    return Page.of(await queries.list_rejected_messages(session, page), RejectedMessageResponse.of)
