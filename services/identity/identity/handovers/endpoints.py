"""Endpoints of handovers."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.departures import service as departures
from identity.departures.problems import DepartureStep
from identity.handovers import queries, service
from identity.handovers.models import Handover
from identity.handovers.problems import (
    HandoverNotListed,
    HandoverOpen,
    HandoverStep,
    ItemSettled,
    NoteNeeded,
    SameHands,
)
from identity.handovers.schemas import HandoverItemResponse, HandoverResponse, SettlementRequest
from identity.permissions import CanCountersignHandovers, CanReadHandovers, CanTakeHandovers
from identity.runtime import Runtime, RuntimeDep

routes = router("/identity/handovers", "handovers")


@routes.get("")
@operation("查看专项交接列表", "List handovers", Forbidden)
async def list_handovers(
    principal: CanReadHandovers, page: PageDep, session: SessionDep, runtime: RuntimeDep
) -> Page[HandoverResponse]:
    """Return the handovers of the caller's unit; center and authority see all."""
    found = await queries.list_handovers(session, visible_unit(principal), page)
    views = {row.id: await _view(session, runtime, row) for row in found.rows}
    return Page.of(found, lambda row: views[row.id])


@routes.get("/{handover_id}")
@operation("查看专项交接", "Get a handover", NotFound, Forbidden)
async def get_handover(
    handover_id: UUID, principal: CanReadHandovers, session: SessionDep, runtime: RuntimeDep
) -> HandoverResponse:
    """Return a handover with its items."""
    handover = await queries.get_handover(session, handover_id, visible_unit(principal))
    if handover is None:
        raise NotFound
    return await _view(session, runtime, handover)


@routes.post("/{handover_id}/settlements", status_code=201)
@operation(
    "接收或销毁交接事项", "Settle items of a handover", NotFound, NoteNeeded, HandoverNotListed, ItemSettled, SameHands
)
async def settle_items(
    handover_id: UUID, body: SettlementRequest, principal: CanTakeHandovers, write: WriteDep, runtime: RuntimeDep
) -> HandoverResponse:
    """Take items over as the successor, or state their destruction."""
    if body.outcome == "destroyed" and body.note is None:
        raise NoteNeeded
    handover = await service.settle(
        write.session, runtime, principal, handover_id, item_ids=body.items, outcome=body.outcome, note=body.note
    )
    return await _view(write.session, runtime, handover)


@routes.post("/{handover_id}/countersign")
@operation(
    "会签专项交接",
    "Countersign a handover",
    NotFound,
    HandoverNotListed,
    HandoverOpen,
    HandoverStep,
    SameHands,
    DepartureStep,
)
async def countersign_handover(
    handover_id: UUID, principal: CanCountersignHandovers, write: WriteDep, runtime: RuntimeDep
) -> HandoverResponse:
    """Countersign a settled handover; that closes the departure."""
    handover = await service.countersign(write.session, runtime, principal, handover_id)
    await departures.close(write.session, runtime, handover.departure_id)
    return await _view(write.session, runtime, handover)


async def _view(session: AsyncSession, runtime: Runtime, handover: Handover) -> HandoverResponse:
    term = runtime.policies.at("handover-term", handover.opened_at).value
    due_at = handover.opened_at + timedelta(seconds=term)
    return HandoverResponse(
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
            HandoverItemResponse(
                id=item.id,
                source=item.source,
                kind=item.kind,
                reference=item.reference,
                details=item.details,
                outcome=item.outcome,
                settled_by=item.settled_by,
                settled_at=item.settled_at,
            )
            for item in await queries.list_items(session, handover.id)
        ],
    )
