"""Where one reads whether the log is complete."""

from typing import Annotated

from fastapi import Query

from audit.permissions import CanReadLog
from audit.producers import queries
from audit.producers.schemas import GapView, ProducerView
from audit.producers.service import Producers
from audit.runtime import RuntimeDep
from common.web.dependencies import SessionDep
from common.web.pagination import Page
from common.web.routing import router

__all__ = ["routes"]

routes = router("/audit/producers", "producer")


@routes.get("")
async def list_producers(
    _: CanReadLog,
    session: SessionDep,
    runtime: RuntimeDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    cursor: Annotated[str, Query(max_length=200, pattern=r"^[^\x00]*$", description="`next` of the page before")] = "",
) -> Page[ProducerView]:
    """List the producers by source: last number, gaps, when last heard. The gateway numbers anew from each start on."""
    producers: Producers = runtime.producers
    logged = {producer.source: producer for producer in await queries.list_producers(session, cursor, limit + 1)}
    heard = {source: known for source, known in producers.heard.items() if source > cursor}
    sources = sorted(logged.keys() | heard.keys())
    shown = sources[:limit]
    gaps = await queries.gaps_of(session, shown)
    silent = producers.silent(runtime.clock.now())
    items = []
    for source in shown:
        in_log, known = logged.get(source), heard.get(source)
        pending = [
            GapView(after=after, before=before, missing=before - after - 1, closed=False, found_at=None)
            for after, before in producers.pending.get(source, ())
        ]
        recorded = [
            GapView(
                after=gap.after, before=gap.before, missing=gap.missing, closed=gap.missing == 0, found_at=gap.found_at
            )
            for gap in gaps[source]
        ]
        at = [in_log.logged_at] if in_log else []
        if known and known.heard_at:
            at.append(known.heard_at)
        items.append(
            ProducerView(
                source=source,
                last=max(in_log.last if in_log else 0, known.number if known else 0),
                logged=in_log.last if in_log else 0,
                last_heard_at=max(at, default=None),
                silent=source in silent,
                gaps=pending + recorded,
            )
        )
    return Page(items=items, next=shown[-1] if len(sources) > limit else None)
