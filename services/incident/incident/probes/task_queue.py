"""The queue of probes: claims due orders, and records the outcome of each probe."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from common.backoff import Backoff
from common.contracts.events.incident import ContainmentProbed
from common.ids import new_id
from common.messaging import outbox
from incident.orders import queries as orders_queries
from incident.orders import service as orders
from incident.orders.models import Order, OrderState
from incident.probes import queries
from incident.probes.evaluation import Answer, evaluate
from incident.probes.models import Probe
from incident.probes.plan import NotApplicable, ProbeTarget, plan_probes
from incident.runtime import Runtime

PROBES = Counter("xindun_probes_total", "Probes by what they showed", ["executor", "expectation", "passed"])
PROBED_SECONDS = Histogram(
    "xindun_containment_probed_seconds",
    "From order to the probe that showed it",
    ["executor"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

MAX_CLAIMED_ORDERS = 8
CLAIM_LEASE = timedelta(seconds=15)
"""A claimed order without a record becomes due again after this time: its worker died."""
PROBE_BACKOFF = Backoff(0.05, 2.0)


@dataclass(frozen=True, slots=True)
class ProbeTask:
    """A claimed order; `attempt` is the fencing token, so that a worker whose lease ended decides nothing."""

    order_id: UUID
    executor: str
    expectation: str
    cause: str
    state: str
    attempt: int
    targets: tuple[ProbeTarget, ...]


@dataclass(frozen=True, slots=True)
class ProbeAttempt:
    """One request of a probe and its answer."""

    target: ProbeTarget
    answer: Answer
    milliseconds: int
    at: datetime


async def claim(session: AsyncSession, runtime: Runtime) -> list[ProbeTask]:
    """Claim due orders: those to probe are returned, those whose executor did not answer in time fail here."""
    now = runtime.clock.now()
    tasks = []
    for order in await queries.lock_due_orders(session, now, MAX_CLAIMED_ORDERS):
        if order.expectation is None:
            lifted = order.state == OrderState.LIFTED
            orders.fail(session, runtime, order, "lift-not-confirmed" if lifted else "not-confirmed")
        elif isinstance(targets := await plan_probes(session, order), NotApplicable):
            order.next_at, order.unprobed = None, targets.reason
            orders.append_step(session, order, now, detail=targets.reason)
            runtime.notifier.notify_after_commit(session)
        else:
            order.attempts += 1
            order.next_at = now + CLAIM_LEASE
            tasks.append(_task(order, tuple(targets)))
    return tasks


def _task(order: Order, targets: tuple[ProbeTarget, ...]) -> ProbeTask:
    assert order.expectation is not None
    return ProbeTask(order.id, order.executor, order.expectation, order.cause, order.state, order.attempts, targets)


async def record(session: AsyncSession, runtime: Runtime, task: ProbeTask, attempts: list[ProbeAttempt]) -> None:
    """Append the attempts, and let the order take its step if its state and attempt are still those of the claim.

    A probe passes when each of its requests passes; the first that does not decides, else the last.
    """
    order = await orders_queries.lock_order(session, task.order_id)
    assert order is not None  # orders are never deleted
    probes = [_append(session, task, attempt) for attempt in attempts]
    if (order.state, order.attempts) != (task.state, task.attempt):
        return
    now = runtime.clock.now()
    passed = bool(probes) and len(probes) == len(task.targets) and all(probe.passed for probe in probes)
    delay = timedelta(seconds=PROBE_BACKOFF.delay(task.attempt - 1))
    deciding = next((probe for probe in probes if not probe.passed), probes[-1] if probes else None)
    PROBES.labels(task.executor, task.expectation, str(passed).lower()).inc()
    if passed:
        _pass(session, order, now)
    elif order.give_up_at is not None and now + delay <= order.give_up_at:
        order.next_at = now + delay
    else:
        orders.fail(session, runtime, order, _failure_reason(deciding))
    if deciding is not None and order.settled:
        _publish(session, order, deciding, now)
    runtime.notifier.notify_after_commit(session)


def _append(session: AsyncSession, task: ProbeTask, attempt: ProbeAttempt) -> Probe:
    evaluation = evaluate(attempt.answer, executor=task.executor, expectation=task.expectation, cause=task.cause)
    probe = Probe(
        id=new_id(),
        order_id=task.order_id,
        expectation=task.expectation,
        subject=attempt.target.subject,
        grant_id=attempt.target.grant_id,
        status=attempt.answer.status,
        problem=attempt.answer.problem,
        reason=evaluation.reason,
        passed=evaluation.passed,
        milliseconds=attempt.milliseconds,
        at=attempt.at,
    )
    session.add(probe)
    return probe


def _pass(session: AsyncSession, order: Order, now: datetime) -> None:
    containing = order.state == OrderState.CONFIRMED
    order.advance(OrderState.PROBED if containing else OrderState.REOPENED, next_at=None)
    if containing:
        order.probed_at = now
        PROBED_SECONDS.labels(order.executor).observe((now - order.ordered_at).total_seconds())
    else:
        order.reopened_at = now
    orders.append_step(session, order, now)


def _publish(session: AsyncSession, order: Order, probe: Probe, now: datetime) -> None:
    event = ContainmentProbed.model_validate(
        {
            "order_id": order.id,
            "incident_id": order.incident_id,
            "expectation": probe.expectation,
            "passed": probe.passed,
            "status": probe.status,
            "problem": probe.problem,
            "reason": probe.reason,
            "probed_at": probe.at,
        }
    )
    outbox.add(session, event, at=now)


def _failure_reason(probe: Probe | None) -> str:
    """Return why the order failed, by the deciding probe."""
    if probe is None:
        return "grant-not-heard-of"
    if probe.status == 0:
        return probe.reason or "no-answer"
    return "refused-for-another-reason" if probe.expectation == "refused" and probe.problem else "probe-not-met"
