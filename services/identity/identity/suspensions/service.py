"""Suspends and reinstates units, accounts and systems by cause; the caller has locked the row (P2)."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.ids import new_id
from identity.cutoffs.service import cut_off
from identity.runtime import Runtime
from identity.suspensions.models import Suspendable, Suspension
from identity.suspensions.queries import list_open_suspensions


async def suspend(
    session: AsyncSession, runtime: Runtime, row: Suspendable, *, reason: str, cause: str, note: str | None = None
) -> bool:
    """Suspend a row for a cause and cut off its credentials; False when this cause suspends it already.

    `reason` is a stable slug; `note` is a person's text, and stays in this service. A row in a final state keeps its state
    and gets another cutoff, so that a containment order can show one.
    """
    if any(suspension.cause == cause for suspension in await list_open_suspensions(session, row)):
        return False
    suspension = Suspension(id=new_id(), cause=cause, reason=note or reason, begun_at=runtime.clock.now())
    setattr(suspension, f"{row.KIND}_id", row.id)
    session.add(suspension)
    if row.can_move_to(row.SUSPENDED):
        row.move_to(row.SUSPENDED)
    await cut_off(session, runtime, row.subject, reason=reason, cause=cause)
    return True


async def reinstate(session: AsyncSession, runtime: Runtime, row: Suspendable, *, cause: str) -> bool:
    """Lift the suspension by a cause; True when no other cause is open and the row is reinstated."""
    suspensions = await list_open_suspensions(session, row)
    lifted = [suspension for suspension in suspensions if suspension.cause == cause]
    for suspension in lifted:
        suspension.lifted_at = runtime.clock.now()
    await session.flush()
    if not lifted or len(lifted) < len(suspensions) or row.state != row.SUSPENDED:
        return False
    row.move_to(row.reinstated_state)
    return True
