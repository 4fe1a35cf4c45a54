"""Carries out containment orders through the same functions as every other path (P2, clause 12.3)."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import ContainmentApplied, ContainmentLiftApplied
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.messaging import outbox
from identity.accounts import service as accounts
from identity.containment.models import Containment
from identity.containment.queries import lock_order
from identity.cutoffs.queries import get_cutoff_of_cause
from identity.runtime import Runtime
from identity.systems import service as systems

SUSPENSION_REASON = "contained"


async def carry_out(session: AsyncSession, runtime: Runtime, order: ContainmentOrdered) -> None:
    """Suspend the target and cut it off; `acknowledgements.service` confirms the order when the cutoff is effective.

    An order for another executor is only stored, so that probes can be issued for it.
    """
    row = Containment(
        order_id=order.order_id,
        executor=order.executor,
        target_kind=order.target_kind,
        target_id=order.target_id,
        ordered_at=order.ordered_at,
    )
    session.add(row)
    if order.executor != "identity":
        return
    cause = f"order:{order.order_id}"
    if order.target_kind == "system":
        await systems.suspend(session, runtime, order.target_id, reason=SUSPENSION_REASON, cause=cause)
    else:
        await accounts.suspend(session, runtime, order.target_id, reason=SUSPENSION_REASON, cause=cause)
    await session.flush()
    cutoff = await get_cutoff_of_cause(session, cause)
    now = runtime.clock.now()
    if cutoff:
        row.cutoff_id, row.epoch_before = cutoff.id, cutoff.epoch - 1
    else:
        row.confirmed_at = now
        outbox.add(
            session, ContainmentApplied(order_id=order.order_id, known=False, effective_at=now, points={}), at=now
        )


async def lift(session: AsyncSession, runtime: Runtime, order: ContainmentLifted) -> None:
    """Lift the suspension by this order; another cause keeps the subject suspended."""
    row = await lock_order(session, order.order_id)
    if row is None or row.lifted_at is not None:
        return
    now = runtime.clock.now()
    row.lifted_at = now
    if row.executor != "identity":
        return
    cause = f"order:{order.order_id}"
    if row.target_kind == "system":
        reinstated = await systems.reinstate(session, runtime, row.target_id, cause=cause)
    else:
        reinstated = await accounts.reinstate(session, runtime, row.target_id, cause=cause)
    outbox.add(session, ContainmentLiftApplied(order_id=order.order_id, reinstated=reinstated), at=now)
