"""The database's half of probing: which order to probe, and what a finished probe means for it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from prometheus_client import Counter, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from common.backoff import Backoff
from common.contracts.events.incident import ContainmentProbed
from common.ids import new_id
from common.messaging import outbox
from incident.orders import queries, service
from incident.orders.models import Order, OrderState, Probe
from incident.probes.evaluation import Answer, judge
from incident.probes.plan import Knock, NotApplicable, knocks_for
from incident.runtime import Runtime

__all__ = ["LEASE", "Attempt", "Work", "claim", "record"]

PROBES = Counter("xindun_probes_total", "Probes by what they showed", ["executor", "expectation", "passed"])
PROBED_SECONDS = Histogram(
    "xindun_containment_probed_seconds",
    "From order to the probe that showed it",
    ["executor"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

AT_ONCE = 8
"""Orders that one look takes."""
LEASE = timedelta(seconds=15)
"""How long a claimed order waits for its record, before another look takes it because the prober died."""
PROBE_BACKOFF = Backoff(0.05, 2.0)


@dataclass(frozen=True, slots=True)
class Work:
    """An order as it was claimed: `attempt` fences, so that a prober that was given up decides nothing any more."""

    order_id: UUID
    executor: str
    expectation: str
    cause: str
    state: str
    attempt: int
    knocks: tuple[Knock, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request of a probe and its answer."""

    knock: Knock
    answer: Answer
    milliseconds: int
    at: datetime


async def claim(session: AsyncSession, runtime: Runtime) -> list[Work]:
    """Take what is due: orders to probe are returned, orders whose executor did not answer in time fail here."""
    now = runtime.clock.now()
    works = []
    for order in await queries.due_orders(session, now, AT_ONCE):
        if order.expectation is None:
            lifted = order.state == OrderState.LIFTED
            service.fail(session, runtime, order, "lift-not-confirmed" if lifted else "not-confirmed")
        elif isinstance(knocks := await knocks_for(session, order), NotApplicable):
            order.next_at, order.unprobed = None, knocks.reason
            service.step(session, order, now, detail=knocks.reason)
            runtime.signal.ring_after(session)
        else:
            order.attempts += 1
            order.next_at = now + LEASE
            works.append(_work(order, tuple(knocks)))
    return works


def _work(order: Order, knocks: tuple[Knock, ...]) -> Work:
    assert order.expectation is not None
    return Work(order.id, order.executor, order.expectation, order.cause, order.state, order.attempts, knocks)


async def record(session: AsyncSession, runtime: Runtime, work: Work, attempts: list[Attempt]) -> None:
    """Append what was tried, and let the order take its step, if it is still where the probe found it.

    A probe passes when each of its requests does; the first that does not decides, else the last.
    """
    order = await queries.lock_order(session, work.order_id)
    assert order is not None  # orders are never deleted
    probes = [_append(session, work, attempt) for attempt in attempts]
    if (order.state, order.attempts) != (work.state, work.attempt):
        return
    now = runtime.clock.now()
    passed = bool(probes) and len(probes) == len(work.knocks) and all(probe.passed for probe in probes)
    deciding = next((probe for probe in probes if not probe.passed), probes[-1] if probes else None)
    PROBES.labels(work.executor, work.expectation, str(passed).lower()).inc()
    if passed:
        _pass(session, order, now)
    elif order.give_up_at is not None and (again := now + _wait(work.attempt)) <= order.give_up_at:
        order.next_at = again
    else:
        service.fail(session, runtime, order, _why(deciding))
    if deciding is not None and order.settled:
        _tell(session, order, deciding, now)
    runtime.signal.ring_after(session)


def _append(session: AsyncSession, work: Work, attempt: Attempt) -> Probe:
    judgement = judge(attempt.answer, executor=work.executor, expectation=work.expectation, cause=work.cause)
    probe = Probe(
        id=new_id(),
        order_id=work.order_id,
        expectation=work.expectation,
        subject=attempt.knock.subject,
        grant_id=attempt.knock.grant_id,
        status=attempt.answer.status,
        problem=attempt.answer.problem,
        reason=judgement.reason,
        passed=judgement.passed,
        milliseconds=attempt.milliseconds,
        at=attempt.at,
    )
    session.add(probe)
    return probe


def _pass(session: AsyncSession, order: Order, now: datetime) -> None:
    shut = order.state == OrderState.CONFIRMED
    order.move_to(OrderState.PROBED if shut else OrderState.REOPENED, next_at=None)
    if shut:
        order.probed_at = now
        PROBED_SECONDS.labels(order.executor).observe((now - order.ordered_at).total_seconds())
    else:
        order.reopened_at = now
    service.step(session, order, now)


def _tell(session: AsyncSession, order: Order, probe: Probe, now: datetime) -> None:
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


def _wait(attempt: int) -> timedelta:
    return timedelta(seconds=PROBE_BACKOFF.delay(attempt - 1))


def _why(probe: Probe | None) -> str:
    """Return why the order failed: what came instead of the answer that would have shown it."""
    if probe is None:
        return "grant-not-heard-of"
    if probe.status == 0:
        return probe.reason or "no-answer"
    return "refused-for-another-reason" if probe.expectation == "refused" and probe.problem else "probe-not-met"
