"""Endpoints of the producers: whether the log is complete."""

from typing import Annotated

from fastapi import Query

from audit.permissions import CanReadLog
from audit.producers import queries
from audit.producers.schemas import GapResponse, ProducerResponse
from audit.runtime import RuntimeDep
from common.web.dependencies import SessionDep
from common.web.openapi import operation
from common.web.pagination import Page
from common.web.routing import router

routes = router("/audit/producers", "producer")


@routes.get("")
@operation("查看事件来源列表", "List producers")
async def list_producers(
    _: CanReadLog,
    session: SessionDep,
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="`next` of the page before")] = "",
) -> Page[ProducerResponse]:
    """List the producers by source: last number, gaps, time of the last message. The gateway numbers from 1 at each start."""
    producers = runtime.producers
    logged = {producer.source: producer for producer in await queries.list_producers(session, cursor, limit + 1)}
    seen = {source: state for source, state in producers.last_seen.items() if source > cursor}
    sources = sorted(logged.keys() | seen.keys())
    shown = sources[:limit]
    gaps = await queries.list_gaps(session, shown)
    silent = producers.silent(runtime.clock.now())
    items = []
    for source in shown:
        in_log, state = logged.get(source), seen.get(source)
        pending = [
            GapResponse(after=after, before=before, missing=before - after - 1, closed=False, found_at=None)
            for after, before in producers.pending.get(source, ())
        ]
        recorded = [
            GapResponse(
                after=gap.after, before=gap.before, missing=gap.missing, closed=gap.missing == 0, found_at=gap.found_at
            )
            for gap in gaps[source]
        ]
        times = [in_log.logged_at] if in_log else []
        if state and state.seen_at:
            times.append(state.seen_at)
        items.append(
            ProducerResponse(
                source=source,
                last=max(in_log.last if in_log else 0, state.number if state else 0),
                logged=in_log.last if in_log else 0,
                last_heard_at=max(times, default=None),
                silent=source in silent,
                gaps=pending + recorded,
            )
        )
    return Page(items=items, next=shown[-1] if len(sources) > limit else None)
