"""Suspends the grants in the scope of a containment order, and lifts those suspensions (12.3)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import ContainmentApplied, ContainmentLiftApplied
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.messaging import outbox
from datashare.containment import queries
from datashare.containment.models import Containment
from datashare.grants import queries as grant_queries
from datashare.grants import service as grants
from datashare.grants.models import Grant
from datashare.projections.queries import get_unit_of_system, lock_unit
from datashare.runtime import Runtime

ACTOR = "service:incident"
CONTAINED_REASON = "contained"


async def carry_out_order(session: AsyncSession, runtime: Runtime, order: ContainmentOrdered) -> None:
    """Suspend the grants in scope and confirm the order, also when there are none. Clause 12.3."""
    if await queries.lock_containment(session, order.order_id):
        return
    now = runtime.clock.now()
    unit = await _affected_unit(session, order)
    if unit:
        await lock_unit(session, unit)  # a concurrent activation is either found here, or finds this order
    session.add(
        Containment(order_id=order.order_id, target_kind=order.target_kind, target_id=order.target_id, applied_at=now)
    )
    await session.flush()
    affected = await _in_scope(session, runtime, order)
    for grant in affected:
        await grants.suspend_grant(session, runtime, grant, cause=_cause(order), reason=CONTAINED_REASON, by=ACTOR)
    event = ContainmentApplied(
        order_id=order.order_id, grants=[grant.id for grant in affected], applied_at=runtime.clock.now()
    )
    outbox.add(session, event, at=now)


def _cause(order: ContainmentOrdered | ContainmentLifted) -> str:
    return f"{grants.ORDER_CAUSE_PREFIX}{order.order_id}"


async def _affected_unit(session: AsyncSession, order: ContainmentOrdered) -> UUID | None:
    if order.target_kind == "unit":
        return order.target_id
    if order.target_kind == "system":
        return await get_unit_of_system(session, order.target_id)
    if order.target_kind == "grant":
        grant = await grant_queries.get_grant(session, order.target_id, None)
        return grant.unit_id if grant else None
    return None


async def _in_scope(session: AsyncSession, runtime: Runtime, order: ContainmentOrdered) -> Sequence[Grant]:
    now = runtime.clock.now()
    if order.target_kind == "grant":
        grant = await grant_queries.get_grant(session, order.target_id, None)
        if grant is None:
            return []
        # Live grants of the same unit and resource: the grant itself, or the one that replaced it.
        return await grant_queries.lock_live_grants_of_unit(session, grant.unit_id, now, resource_id=grant.resource_id)
    if order.target_kind == "system":
        return await grant_queries.lock_live_grants_of_system(session, order.target_id, now)
    if order.target_kind == "unit":
        return await grant_queries.lock_live_grants_of_unit(session, order.target_id, now)
    return []  # grants belong to units, not to accounts


async def lift_order(session: AsyncSession, runtime: Runtime, order: ContainmentLifted) -> None:
    """Lift the suspensions of this order only: another cause keeps a grant suspended."""
    containment = await queries.lock_containment(session, order.order_id)
    if containment is None or containment.lifted_at is not None:
        return
    now = runtime.clock.now()
    containment.lifted_at = now
    cause = _cause(order)
    active = [
        grant.id
        for grant in await grant_queries.lock_suspended_grants(session, cause)
        if await grants.reinstate_grant(session, runtime, grant, cause=cause, by=ACTOR)
    ]
    outbox.add(session, ContainmentLiftApplied(order_id=order.order_id, grants=active), at=now)
