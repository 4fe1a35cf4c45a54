"""Opens, lists, settles and completes handovers.

Separate hands (P6): the leaving person takes no part, and a successor does not countersign.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import HandoverCompleted, HandoverItemSettled, HandoverOpened
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.handovers.models import Handover, HandoverItem, HandoverState
from identity.handovers.problems import HandoverNotListed, HandoverOpen, SameHands
from identity.handovers.queries import list_items, lock_handover
from identity.runtime import Runtime
from identity.systems import queries as systems

if TYPE_CHECKING:
    from identity.departures.models import Departure


async def open_handover(session: AsyncSession, runtime: Runtime, departure: "Departure") -> Handover:
    """Open the handover with the items of identity; other services list theirs in response to `HandoverOpened`."""
    now = runtime.clock.now()
    handover = Handover(
        id=new_id(),
        departure_id=departure.id,
        account_id=departure.account_id,
        unit_id=departure.unit_id,
        opened_at=now,
    )
    session.add(handover)
    await session.flush()
    for system in await systems.list_systems_of_responsible(session, departure.account_id):
        session.add(
            _item(handover.id, "identity", {"kind": "system", "reference": str(system.id), "description": system.name})
        )
    event = HandoverOpened(
        handover_id=handover.id,
        departure_id=departure.id,
        account_id=departure.account_id,
        unit_id=departure.unit_id,
    )
    outbox.add(session, event, at=now)
    return handover


async def add_items(
    session: AsyncSession,
    runtime: Runtime,
    handover_id: UUID,
    source: str,
    items: Sequence[Mapping[str, Any]],
    *,
    complete: bool,
) -> None:
    """Add the items that another service listed; once the list is `complete`, they can be settled."""
    handover = await lock_handover(session, handover_id, None)
    if handover is None or handover.state != HandoverState.OPENED:
        return
    for item in items:
        session.add(_item(handover.id, source, item))
    if not complete:
        return
    handover.move_to(HandoverState.LISTED)
    handover.listed_at = runtime.clock.now()


def _item(handover_id: UUID, source: str, item: Mapping[str, Any]) -> HandoverItem:
    return HandoverItem(
        id=new_id(),
        handover_id=handover_id,
        source=source,
        kind=str(item["kind"]),
        reference=str(item["reference"]),
        details={key: value for key, value in item.items() if key not in ("kind", "reference")},
    )


async def settle(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    handover_id: UUID,
    *,
    item_ids: Sequence[UUID] | None,
    outcome: Literal["taken-over", "destroyed"],
    note: str | None,
) -> Handover:
    """Settle items as taken over or destroyed; `item_ids` None: all open ones.

    Raises `NotFound`, `HandoverNotListed`, `SameHands` for the leaving person, `ItemSettled`.
    """
    handover = await _lock(session, principal, handover_id)
    if handover.state != HandoverState.LISTED:
        raise HandoverNotListed(state=handover.state)
    items = {item.id: item for item in await list_items(session, handover.id)}
    if item_ids is None:
        item_ids = [item.id for item in items.values() if item.outcome is None]
    now = runtime.clock.now()
    for item_id in item_ids:
        item = items.get(item_id)
        if item is None:
            raise NotFound
        item.settle(outcome, principal.uuid, now, note)
        event = HandoverItemSettled(
            handover_id=handover.id,
            account_id=handover.account_id,
            item_id=item.id,
            outcome=outcome,
            successor_id=principal.uuid if outcome == "taken-over" else None,
        )
        outbox.add(session, event, at=now)
        if outcome == "taken-over" and item.source == "identity":
            await systems.set_responsible(session, UUID(item.reference), principal.uuid)
    return handover


async def countersign(session: AsyncSession, runtime: Runtime, principal: Principal, handover_id: UUID) -> Handover:
    """Complete the handover: by a person who neither leaves nor took anything over. Clause 6.6.

    Raises `NotFound`, `HandoverNotListed`, `HandoverOpen` while an item is not settled, `SameHands`.
    """
    handover = await _lock(session, principal, handover_id)
    items = await list_items(session, handover.id)
    if handover.state == HandoverState.OPENED:
        raise HandoverNotListed(state=handover.state)
    if open_items := [str(item.id) for item in items if item.outcome is None]:
        raise HandoverOpen(items=open_items[:20], open=len(open_items))
    takers = {item.settled_by for item in items}
    if principal.uuid in takers:
        raise SameHands
    handover.move_to(HandoverState.COMPLETED)
    now = handover.completed_at = runtime.clock.now()
    handover.countersigned_by = principal.uuid
    successors = [item.settled_by for item in items if item.outcome == "taken-over"]
    event = HandoverCompleted(
        handover_id=handover.id,
        departure_id=handover.departure_id,
        account_id=handover.account_id,
        unit_id=handover.unit_id,
        successor_id=successors[0] if successors else None,
        countersigned_by=principal.uuid,
    )
    outbox.add(session, event, at=now)
    return handover


async def _lock(session: AsyncSession, principal: Principal, handover_id: UUID) -> Handover:
    handover = await lock_handover(session, handover_id, principal.unit)
    if handover is None:
        raise NotFound
    if handover.account_id == principal.uuid:
        raise SameHands
    return handover
