"""Records when each cutoff became effective everywhere, and confirms the containment orders behind it."""

import asyncio
from datetime import datetime
from functools import partial
from uuid import UUID

import structlog

from common.contracts.events.identity import ContainmentApplied, CutoffEffective
from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging import outbox
from common.problems import Unavailable
from identity.acknowledgements.collector import Effectiveness
from identity.containment.queries import lock_order_of_cutoff
from identity.cutoffs import queries
from identity.cutoffs.models import CutoffRow
from identity.runtime import Runtime

log = structlog.get_logger()


async def confirm_cutoffs(runtime: Runtime) -> None:
    """Record when each cutoff became effective, and confirm containment orders: a task of every replica.

    Each cutoff waits for its receipts separately, so that a silent point delays only the cutoffs that wait for it.
    """
    point = runtime.point
    pending: set[UUID] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            seen_revision = point.revision
            try:
                async with runtime.database.transaction() as session:
                    unconfirmed = await queries.list_unconfirmed_cutoffs(session)
                for row in unconfirmed:
                    if row.id not in pending:
                        pending.add(row.id)
                        group.create_task(_confirm(runtime, row, pending))
            except Unavailable:
                log.warning("cutoffs.database_away")
            await point.until(partial(_moved, point, seen_revision), 1.0)


def _moved(point: EnforcementPoint, since: int) -> bool:
    return point.revision != since


async def _confirm(runtime: Runtime, row: CutoffRow, pending: set[UUID]) -> None:
    try:
        outcome = await runtime.acknowledgements.wait(row)
        if outcome.effective_at is not None:
            await _record_effective(runtime, row.id, outcome.effective_at, outcome)
    except Unavailable:
        log.warning("cutoffs.database_away")
    finally:
        pending.discard(row.id)


async def _record_effective(runtime: Runtime, cutoff_id: UUID, effective_at: datetime, outcome: Effectiveness) -> None:
    async with runtime.database.transaction() as session:
        row = await queries.lock_cutoff(session, cutoff_id)
        if row is None or row.effective_at is not None:
            return  # another replica was first
        row.effective_at = effective_at
        now = runtime.clock.now()
        event = CutoffEffective(
            cutoff_id=row.id,
            subject=row.subject,
            reason=row.reason,
            cause=row.cause,
            at=row.at,
            effective_at=effective_at,
            points=outcome.points,
            silent=outcome.silent,
        )
        outbox.add(session, event, at=now)
        order = await lock_order_of_cutoff(session, row.id)
        if order and order.confirmed_at is None:
            order.confirmed_at = now
            applied = ContainmentApplied(
                order_id=order.order_id, known=True, effective_at=effective_at, points=outcome.points
            )
            outbox.add(session, applied, at=now)
