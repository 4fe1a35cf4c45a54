"""Doors of the handovers."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.problems import NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.departures import service as departures
from identity.handovers import queries, service
from identity.handovers.models import Handover
from identity.handovers.problems import NoteNeeded
from identity.handovers.schemas import HandoverView, ItemView, Settlement
from identity.permissions import CanCountersignHandovers, CanReadHandovers, CanTakeHandovers
from identity.runtime import Runtime, RuntimeDep
from identity.sight import border_of

__all__ = ["routes"]

routes = router("/identity/handovers", "handovers")


@routes.get("")
async def list_handovers(
    principal: CanReadHandovers, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[HandoverView]:
    """Return the handovers of the own unit; center and authority see all."""
    rows = await queries.handovers_of(session, border_of(principal), page.after, page.limit + 1)
    views = {row.id: await _view(session, runtime, row) for row in rows}
    return page_of(page, rows, lambda row: views[row.id], lambda row: row.id)


@routes.get("/{handover_id}")
async def get_handover(
    handover_id: UUID, principal: CanReadHandovers, session: SessionDep, runtime: RuntimeDep
) -> HandoverView:
    """Return a handover with its items."""
    handover = await queries.handover_of(session, handover_id, border_of(principal))
    if handover is None:
        raise NotFound
    return await _view(session, runtime, handover)


@routes.post("/{handover_id}/settlements", status_code=201)
async def settle_items(
    handover_id: UUID, body: Settlement, principal: CanTakeHandovers, write: WriteDep, runtime: RuntimeDep
) -> HandoverView:
    """Take items over as their successor, or state their destruction."""
    if body.outcome == "destroyed" and body.note is None:
        raise NoteNeeded
    handover = await service.settle(
        write.session, runtime, principal, handover_id, item_ids=body.items, outcome=body.outcome, note=body.note
    )
    return await _view(write.session, runtime, handover)


@routes.post("/{handover_id}/countersign")
async def countersign_handover(
    handover_id: UUID, principal: CanCountersignHandovers, write: WriteDep, runtime: RuntimeDep
) -> HandoverView:
    """Countersign a settled handover; that closes the departure."""
    handover = await service.countersign(write.session, runtime, principal, handover_id)
    await departures.close(write.session, runtime, handover.departure_id)
    return await _view(write.session, runtime, handover)


async def _view(session: AsyncSession, runtime: Runtime, handover: Handover) -> HandoverView:
    term = runtime.policies.at("handover-term", handover.opened_at).value
    due_at = handover.opened_at + timedelta(seconds=term)
    return HandoverView(
        id=handover.id,
        departure_id=handover.departure_id,
        account_id=handover.account_id,
        unit_id=handover.unit_id,
        state=handover.state,
        opened_at=handover.opened_at,
        listed_at=handover.listed_at,
        due_at=due_at,
        overdue=(handover.completed_at or runtime.clock.now()) > due_at,
        completed_at=handover.completed_at,
        countersigned_by=handover.countersigned_by,
        items=[
            ItemView(
                id=item.id,
                source=item.source,
                kind=item.kind,
                reference=item.reference,
                details=item.details,
                outcome=item.outcome,
                settled_by=item.settled_by,
                settled_at=item.settled_at,
            )
            for item in await queries.items_of(session, handover.id)
        ],
    )
