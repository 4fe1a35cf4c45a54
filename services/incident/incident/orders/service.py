"""Issues containment orders and takes them from step to step."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, cast
from uuid import UUID

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.incident import (
    ContainmentConfirmed,
    ContainmentFailed,
    ContainmentLifted,
    ContainmentOrdered,
    ProbeRequested,
)
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from incident.breaches.models import Incident
from incident.breaches.problems import BreachUnknown
from incident.orders import queries
from incident.orders.models import Order, OrderState, OrderStep
from incident.orders.problems import OrderStepForbidden
from incident.runtime import Runtime

log = structlog.get_logger()

FAILED = Counter("xindun_containment_failed_total", "Orders that a person must see to at once", ["executor", "reason"])
CONFIRMED_SECONDS = Histogram(
    "xindun_containment_confirmed_seconds",
    "From order to confirmation",
    ["executor"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

TIME_LIMIT_FACTOR = 10
"""An order fails when its confirmation, or its probe, takes longer than this multiple of the containment target."""

Executor = Literal["identity", "datashare"]


@dataclass(frozen=True, slots=True)
class ContainmentTarget:
    """One measure, and the object that it is for."""

    executor: Executor
    measure: Literal["suspend-system", "suspend-account", "suspend-grants"]
    kind: Literal["system", "account", "grant", "unit"]
    id: UUID
    unit: UUID


def time_limit(runtime: Runtime, since: datetime) -> timedelta:
    """Return how long a step may be under way (policy `containment-target` of that time)."""
    return timedelta(milliseconds=TIME_LIMIT_FACTOR * runtime.policies.at("containment-target", since).value)


def append_step(
    session: AsyncSession,
    order: Order,
    at: datetime,
    *,
    detail: str | None = None,
    effective_at: datetime | None = None,
) -> None:
    """Append the order's present state to its timeline."""
    session.add(OrderStep(order_id=order.id, state=order.state, at=at, detail=detail, effective_at=effective_at))


async def issue(
    session: AsyncSession, runtime: Runtime, incident: Incident, targets: Iterable[ContainmentTarget]
) -> Sequence[Order]:
    """Order every measure once, each with its event. Clause 12.3."""
    now = incident.reported_at
    deadline = now + time_limit(runtime, now)
    orders = [
        Order(
            id=new_id(),
            incident_id=incident.id,
            executor=target.executor,
            measure=target.measure,
            target_kind=target.kind,
            target_id=target.id,
            unit_id=target.unit,
            ordered_at=now,
            give_up_at=deadline,
            next_at=deadline,
        )
        for target in dict.fromkeys(targets)
    ]
    session.add_all(orders)
    await session.flush()
    for order in orders:
        append_step(session, order, now)
        event = ContainmentOrdered.model_validate(
            {
                "order_id": order.id,
                "incident_id": incident.id,
                "executor": order.executor,
                "measure": order.measure,
                "target_kind": order.target_kind,
                "target_id": order.target_id,
                "ordered_at": now,
            }
        )
        outbox.add(session, event, at=now)
    runtime.notifier.notify_after_commit(session)
    return orders


async def _lock_own_order(session: AsyncSession, order_id: UUID, executor: Executor) -> Order | None:
    """Return and lock an order of `executor`; None for an order that it was never given."""
    order = await queries.lock_order(session, order_id)
    if order is None or order.executor != executor:
        log.warning("containment.answer_to_no_order", order=str(order_id), executor=executor)
        return None
    return order


async def confirm(
    session: AsyncSession,
    runtime: Runtime,
    order_id: UUID,
    executor: Executor,
    *,
    known: bool = True,
    effective_at: datetime,
    grants: Sequence[UUID] = (),
) -> None:
    """Note that the executor applied the measure; the order is probed from now on.

    A repeated confirmation, or one that comes after the lift, changes nothing.
    """
    order = await _lock_own_order(session, order_id, executor)
    if order is None or not order.can_move_to(OrderState.CONFIRMED) or order.confirmed_at is not None:
        return
    now = runtime.clock.now()
    if not known:
        if order.can_move_to(OrderState.FAILED):
            fail(session, runtime, order, "target-unknown")
        return
    order.advance(OrderState.CONFIRMED, next_at=now, time_limit=time_limit(runtime, now))
    order.confirmed_at, order.grants = now, list(grants)
    append_step(session, order, now, effective_at=effective_at)
    outbox.add(
        session, ContainmentConfirmed(order_id=order.id, incident_id=order.incident_id, confirmed_at=now), at=now
    )
    CONFIRMED_SECONDS.labels(executor).observe((now - order.ordered_at).total_seconds())
    runtime.notifier.notify_after_commit(session)


async def confirm_lift(
    session: AsyncSession, runtime: Runtime, order_id: UUID, executor: Executor, *, unprobed: str | None
) -> None:
    """Note that the executor restored what the order took; `unprobed` says why access stays refused all the same."""
    order = await _lock_own_order(session, order_id, executor)
    if order is None or not order.can_move_to(OrderState.RESTORED):
        return
    now = runtime.clock.now()
    order.advance(OrderState.RESTORED, next_at=None if unprobed else now, time_limit=time_limit(runtime, now))
    order.restored_at, order.unprobed = now, unprobed
    append_step(session, order, now, detail=unprobed)
    runtime.notifier.notify_after_commit(session)


async def lift(
    session: AsyncSession, runtime: Runtime, orders: Iterable[Order], *, proposed_by: UUID, approved_by: UUID
) -> None:
    """Lift locked orders: their executors restore what each took, and nothing else."""
    now = runtime.clock.now()
    deadline = now + time_limit(runtime, now)
    for order in orders:
        order.advance(OrderState.LIFTED, next_at=deadline)
        order.lifted_at = now
        append_step(session, order, now)
        event = ContainmentLifted(
            order_id=order.id,
            incident_id=order.incident_id,
            executor=cast("Executor", order.executor),
            proposed_by=proposed_by,
            approved_by=approved_by,
        )
        outbox.add(session, event, at=now)
    runtime.notifier.notify_after_commit(session)


def fail(session: AsyncSession, runtime: Runtime, order: Order, reason: str) -> None:
    """Record that a locked order failed: in an event, a metric and the timeline (P10)."""
    now = runtime.clock.now()
    containing = order.can_move_to(OrderState.FAILED)
    order.advance(OrderState.FAILED if containing else OrderState.NOT_REOPENED, next_at=None)
    append_step(session, order, now, detail=reason)
    outbox.add(session, ContainmentFailed(order_id=order.id, incident_id=order.incident_id, reason=reason), at=now)
    FAILED.labels(order.executor, reason).inc()
    log.error("containment.failed", order=str(order.id), executor=order.executor, reason=reason)
    runtime.notifier.notify_after_commit(session)


async def probe_again(
    session: AsyncSession, runtime: Runtime, principal: Principal, order_id: UUID, *, unit: UUID | None
) -> Order:
    """Probe a confirmed order again that no probe has shown to work. Raises `BreachUnknown`, `OrderStepForbidden`."""
    order = await queries.lock_order(session, order_id, unit)
    if order is None:
        raise BreachUnknown
    wanted = None
    if order.state == OrderState.FAILED and order.confirmed_at:
        wanted = OrderState.CONFIRMED
    elif order.state == OrderState.NOT_REOPENED and order.restored_at:
        wanted = OrderState.RESTORED
    if wanted is None:
        raise OrderStepForbidden(state=order.state, wanted="probe")
    now = runtime.clock.now()
    order.advance(wanted, next_at=now, time_limit=time_limit(runtime, now))
    append_step(session, order, now, detail="probe-requested")
    event = ProbeRequested(order_id=order.id, incident_id=order.incident_id, requested_by=principal.uuid)
    outbox.add(session, event, at=now)
    runtime.notifier.notify_after_commit(session)
    return order
