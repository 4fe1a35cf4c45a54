"""Suspends the grants in the scope of a containment order, and lifts just that (12.3)."""

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
from datashare.projections.queries import hold_unit
from datashare.runtime import Runtime

__all__ = ["carry_out", "lift"]

BY = "service:incident"
REASON = "contained"


async def carry_out(session: AsyncSession, runtime: Runtime, order: ContainmentOrdered) -> None:
    """Suspend the grants in scope and say so, also when there are none. Clause 12.3."""
    if await queries.order_of(session, order.order_id):
        return
    now = runtime.clock.now()
    unit = await _unit_concerned(session, order)
    if unit:
        await hold_unit(session, unit)  # a grant that is being activated is either found here, or finds this order
    session.add(
        Containment(order_id=order.order_id, target_kind=order.target_kind, target_id=order.target_id, applied_at=now)
    )
    await session.flush()
    concerned = await _in_scope(session, runtime, order)
    for grant in concerned:
        await grants.suspend(session, runtime, grant, cause=f"{grants.ORDER}{order.order_id}", reason=REASON, by=BY)
    event = ContainmentApplied(
        order_id=order.order_id, grants=[grant.id for grant in concerned], applied_at=runtime.clock.now()
    )
    outbox.add(session, event, at=now)


async def _unit_concerned(session: AsyncSession, order: ContainmentOrdered) -> UUID | None:
    if order.target_kind == "unit":
        return order.target_id
    if order.target_kind == "system":
        return await queries.unit_of_system(session, order.target_id)
    if order.target_kind == "grant":
        grant = await grant_queries.grant_of(session, order.target_id, None)
        return grant.unit_id if grant else None
    return None


async def _in_scope(session: AsyncSession, runtime: Runtime, order: ContainmentOrdered) -> list[Grant]:
    now = runtime.clock.now()
    if order.target_kind == "grant":
        grant = await grant_queries.grant_of(session, order.target_id, None)
        if grant is None:
            return []
        # All that is live of this unit and resource: the grant itself, or the one that took its place meanwhile.
        return await grant_queries.lock_live_of_unit(session, grant.unit_id, now, resource_id=grant.resource_id)
    if order.target_kind == "system":
        return await grant_queries.lock_live_of_system(session, order.target_id, now)
    if order.target_kind == "unit":
        return await grant_queries.lock_live_of_unit(session, order.target_id, now)
    return []  # no grant is a person's


async def lift(session: AsyncSession, runtime: Runtime, order: ContainmentLifted) -> None:
    """Restore what this order took, and nothing else: another cause keeps a grant suspended."""
    known = await queries.order_of(session, order.order_id)
    if known is None or known.lifted_at is not None:
        return
    now = runtime.clock.now()
    known.lifted_at = now
    cause = f"{grants.ORDER}{order.order_id}"
    active = [
        grant.id
        for grant in await grant_queries.lock_under_cause(session, cause)
        if await grants.reinstate(session, runtime, grant, cause=cause, by=BY)
    ]
    outbox.add(session, ContainmentLiftApplied(order_id=order.order_id, grants=active), at=now)
