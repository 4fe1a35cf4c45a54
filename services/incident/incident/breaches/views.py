"""Builds the file of a breach; progress and lateness are computed from facts when the file is read (P8)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from incident.breaches import queries
from incident.breaches.models import Fact, Incident, Obligation
from incident.breaches.problems import BreachUnknown
from incident.breaches.schemas import (
    AuthorityReportResponse,
    Breach,
    BreachSummary,
    Containment,
    FactResponse,
    ObligationResponse,
)
from incident.lifting import queries as lifting
from incident.lifting.schemas import LiftProposalResponse
from incident.orders import queries as orders_queries
from incident.orders.models import Order, OrderState, OrderStep
from incident.orders.schemas import OrderResponse, OrderStepResponse
from incident.probes import queries as probes_queries
from incident.probes.models import Probe
from incident.probes.schemas import ProbeResponse
from incident.runtime import Runtime

POLL_INTERVAL_SECONDS = 0.1
"""How often a waiting request reads the orders again, for the commits of other replicas."""


async def wait_until_settled(runtime: Runtime, incident_id: UUID, timeout: float) -> Breach:
    """Return the file once no step is under way, or after `timeout` seconds as it stands then."""
    loop, notifier = asyncio.get_running_loop(), runtime.notifier
    deadline = loop.time() + timeout
    while True:
        notification = notifier.subscribe()
        async with runtime.database.transaction() as session:
            left = deadline - loop.time()
            if left <= 0 or not await orders_queries.unsettled_order_exists(session, incident_id):
                return await get_breach_view(session, runtime, incident_id, None)
        await notifier.wait(notification, min(left, POLL_INTERVAL_SECONDS))


async def get_breach_view(session: AsyncSession, runtime: Runtime, incident_id: UUID, unit: UUID | None) -> Breach:
    """Return the file of an incident of `unit` (None: all). Raises `BreachUnknown`."""
    incident = await queries.get_incident(session, incident_id, unit)
    if incident is None:
        raise BreachUnknown
    return await breach_view(session, runtime, incident)


async def breach_view(session: AsyncSession, runtime: Runtime, incident: Incident) -> Breach:
    """Return the file as it stands now."""
    await session.flush()
    now = runtime.clock.now()
    orders = await orders_queries.list_orders(session, incident.id)
    steps: dict[UUID, list[OrderStep]] = defaultdict(list)
    for step in await orders_queries.list_steps(session, incident.id):
        steps[step.order_id].append(step)
    probes: dict[UUID, list[Probe]] = defaultdict(list)
    for probe in await probes_queries.list_probes(session, incident.id):
        probes[probe.order_id].append(probe)
    reports = await queries.list_reports(session, incident.id)
    met_at = reports[0].reported_at if reports else None
    return Breach(
        id=incident.id,
        kind=incident.kind,
        description=incident.description,
        unit_id=incident.unit_id,
        reporter_id=incident.reporter_id,
        reporter_unit=incident.reporter_unit,
        reported_at=incident.reported_at,
        version=incident.version,
        facts=_fact_views(await queries.list_facts(session, incident.id)),
        containment=containment_view(incident.reported_at, orders, _target(runtime, incident)),
        orders=[_order_view(order, steps[order.id], probes[order.id]) for order in orders],
        obligations=[
            _obligation_view(duty, met_at, now) for duty in await queries.list_obligations(session, incident.id)
        ],
        reports=[AuthorityReportResponse.model_validate(report) for report in reports],
        proposals=[
            LiftProposalResponse.model_validate(proposal)
            for proposal in await lifting.list_proposals(session, incident.id)
        ],
    )


def summary_view(incident: Incident, duty: Obligation, met_at: datetime | None, now: datetime) -> BreachSummary:
    """Return a line of the list."""
    late = duty.late_by(met_at, now)
    return BreachSummary(
        id=incident.id,
        kind=incident.kind,
        unit_id=incident.unit_id,
        reported_at=incident.reported_at,
        report_due_at=duty.due_at,
        reported_to_authority_at=met_at,
        report_overdue=met_at is None and bool(late),
        report_late_seconds=int(late.total_seconds()),
    )


def _target(runtime: Runtime, incident: Incident) -> int:
    return runtime.policies.at("containment-target", incident.reported_at).value


def containment_view(reported_at: datetime, orders: Sequence[Order], target: int) -> Containment:
    """Count the orders, with the target in milliseconds. An order that no probe applies to never counts as probed."""
    count = len(orders)
    confirmed = [order.confirmed_at for order in orders if order.confirmed_at]
    probed = [order.probed_at for order in orders if order.probed_at]
    unprobeable = sum(1 for order in orders if order.state == OrderState.CONFIRMED and order.unprobed)
    state = _state(orders, len(confirmed), len(probed), unprobeable)
    whole = len(confirmed) == count
    spent = _milliseconds(reported_at, max(probed)) if probed else None
    to_confirmation = _milliseconds(reported_at, max(confirmed)) if confirmed else None
    contained_at = max(confirmed) if whole else None
    left_zh = f"，{unprobeable} 项不适用探测" if unprobeable else ""
    left_en = f", {unprobeable} that no probe applies to" if unprobeable else ""
    time_zh = f"，报告至最后一次探测 {spent} 毫秒" if spent is not None else "，尚未探测"
    time_en = f", {spent} ms from report to last probe" if spent is not None else ", not probed yet"
    since = contained_at.isoformat(timespec="milliseconds") if contained_at else None
    return Containment(
        state=state,
        orders=count,
        confirmed=len(confirmed),
        probed=len(probed),
        not_applicable=unprobeable,
        failed=_in(orders, OrderState.FAILED),
        lifted=sum(1 for order in orders if order.lifted_at),
        reopened=_in(orders, OrderState.REOPENED),
        contained_at=contained_at,
        milliseconds=spent,
        target_milliseconds=target,
        within_target=to_confirmation <= target if whole and to_confirmation is not None else None,
        summary_zh=(f"{since} 起遏制生效" if since else "遏制尚未全部确认")
        + f"，已确认 {len(confirmed)}/{count}，已探测 {len(probed)}/{count}{left_zh}{time_zh}",
        summary_en=(f"contained at {since}" if since else "not contained yet")
        + f", {len(confirmed)} of {count} confirmed, {len(probed)} of {count} probed{left_en}{time_en}",
    )


def _milliseconds(begin: datetime, end: datetime) -> int:
    return round((end - begin).total_seconds() * 1000)


def _in(orders: Sequence[Order], state: OrderState) -> int:
    return sum(1 for order in orders if order.state == state)


def _state(orders: Sequence[Order], confirmed: int, probed: int, unprobeable: int) -> str:
    """Return the state of the whole: the worst of its orders."""
    if any(order.lifted_at for order in orders):
        for state in (OrderState.NOT_REOPENED, OrderState.LIFTED, OrderState.RESTORED):
            if _in(orders, state):
                return state
        return OrderState.REOPENED
    if _in(orders, OrderState.FAILED):
        return OrderState.FAILED
    if confirmed < len(orders):
        return OrderState.ORDERED
    return "contained" if probed and probed + unprobeable == len(orders) else OrderState.CONFIRMED


def _fact_views(facts: Sequence[Fact]) -> list[FactResponse]:
    views = [FactResponse.model_validate(fact) for fact in facts]
    superseded = {fact.supersedes for fact in facts}
    for view in views:
        view.superseded = view.id in superseded
    return views


def _order_view(order: Order, steps: list[OrderStep], probes: list[Probe]) -> OrderResponse:
    view = OrderResponse.model_validate(order)
    view.timeline = [OrderStepResponse.model_validate(step) for step in steps]
    view.probes = [ProbeResponse.model_validate(probe) for probe in probes]
    return view


def _obligation_view(duty: Obligation, met_at: datetime | None, now: datetime) -> ObligationResponse:
    late = duty.late_by(met_at, now)
    return ObligationResponse(
        content=duty.content,
        clause=duty.clause,
        basis=duty.basis,
        policy=duty.policy,
        policy_version=duty.policy_version,
        from_at=duty.from_at,
        due_at=duty.due_at,
        met_at=met_at,
        overdue=met_at is None and bool(late),
        late_seconds=int(late.total_seconds()),
    )
