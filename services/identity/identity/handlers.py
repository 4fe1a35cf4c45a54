"""Handlers of the events of other services."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import HoldingsListed
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.messaging.events import Envelope
from common.messaging.inbox import Handlers
from identity.containment import service as containment
from identity.handovers import service as handovers
from identity.runtime import Runtime

handlers: Handlers[Runtime] = Handlers()


@handlers.on(HoldingsListed)
async def when_holdings_listed_add_them_to_the_handover(
    session: AsyncSession, event: HoldingsListed, envelope: Envelope, runtime: Runtime
) -> None:
    """Clause 6.6."""
    await handovers.add_items(
        session,
        runtime,
        event.handover_id,
        envelope.publisher,
        event.items,
        complete=event.part == event.parts,
    )


@handlers.on(ContainmentOrdered)
async def when_containment_ordered_suspend_and_cut_off(
    session: AsyncSession, event: ContainmentOrdered, _: Envelope, runtime: Runtime
) -> None:
    """Clause 12.3."""
    await containment.carry_out(session, runtime, event)


@handlers.on(ContainmentLifted)
async def when_containment_lifted_reinstate(
    session: AsyncSession, event: ContainmentLifted, _: Envelope, runtime: Runtime
) -> None:
    """Clause 12.3."""
    await containment.lift(session, runtime, event)
