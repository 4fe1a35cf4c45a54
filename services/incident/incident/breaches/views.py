"""Puts a breach's file together: what it says of progress and lateness is computed from facts as it is read (P8)."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from incident.breaches import queries
from incident.breaches.models import AuthorityReport, Fact, Incident, Obligation
from incident.breaches.schemas import (
    AuthorityReportView,
    BreachFile,
    BreachSummary,
    Containment,
    FactView,
    ObligationView,
    OrderView,
    ProbeView,
    ProposalView,
    StepView,
)
from incident.lifting import queries as lifting
from incident.lifting.models import LiftProposal
from incident.orders import queries as containment
from incident.orders.models import Order, OrderState, OrderStep, Probe
from incident.problems import BreachUnknown
from incident.runtime import Runtime

__all__ = ["containment_of", "file_of", "proposal_view", "read_file", "settled_file", "summary_of"]

LOOK_EVERY = 0.1
"""Seconds between looks of who waits, for what another replica committed."""


async def settled_file(runtime: Runtime, incident_id: UUID, wait: float) -> BreachFile:
    """Return the file once nothing is under way, or after `wait` seconds, with what is known by then."""
    loop, signal = asyncio.get_running_loop(), runtime.signal
    until = loop.time() + wait
    while True:
        ticket = signal.ticket()
        async with runtime.database.transaction() as session:
            left = until - loop.time()
            if left <= 0 or not await containment.any_unsettled(session, incident_id):
                return await read_file(session, runtime, incident_id, None)
        await signal.heard(ticket, min(left, LOOK_EVERY))


async def read_file(session: AsyncSession, runtime: Runtime, incident_id: UUID, unit: UUID | None) -> BreachFile:
    """Return the file of an incident of `unit` (None: all). Raises `BreachUnknown`."""
    incident = await queries.visible_incident(session, incident_id, unit)
    if incident is None:
        raise BreachUnknown
    return await file_of(session, runtime, incident)


async def file_of(session: AsyncSession, runtime: Runtime, incident: Incident) -> BreachFile:
    """Return the file as it stands now."""
    await session.flush()
    now = runtime.clock.now()
    orders = await containment.orders_of(session, incident.id)
    steps: dict[UUID, list[OrderStep]] = defaultdict(list)
    for step in await containment.steps_of(session, incident.id):
        steps[step.order_id].append(step)
    probes: dict[UUID, list[Probe]] = defaultdict(list)
    for probe in await containment.probes_of(session, incident.id):
        probes[probe.order_id].append(probe)
    reports = await queries.reports_of(session, incident.id)
    met_at = reports[0].reported_at if reports else None
    return BreachFile(
        id=incident.id,
        kind=incident.kind,
        description=incident.description,
        unit_id=incident.unit_id,
        reporter_id=incident.reporter_id,
        reporter_unit=incident.reporter_unit,
        reported_at=incident.reported_at,
        version=incident.version,
        facts=_facts(await queries.facts_of(session, incident.id)),
        containment=containment_of(incident.reported_at, orders, _target(runtime, incident)),
        orders=[_order(order, steps[order.id], probes[order.id]) for order in orders],
        obligations=[_obligation(duty, met_at, now) for duty in await queries.obligations_of(session, incident.id)],
        reports=[_report(report) for report in reports],
        proposals=[proposal_view(proposal) for proposal in await lifting.proposals_of(session, incident.id)],
    )


def summary_of(incident: Incident, duty: Obligation, met_at: datetime | None, now: datetime) -> BreachSummary:
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


def containment_of(reported_at: datetime, orders: Sequence[Order], target: int) -> Containment:
    """Count the orders. An order that no probe applies to is never counted as probed."""
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


def _facts(facts: list[Fact]) -> list[FactView]:
    superseded = {fact.supersedes for fact in facts}
    return [
        FactView(
            id=fact.id,
            kind=fact.kind,
            at=fact.at,
            recorded_by=fact.recorded_by,
            recorded_at=fact.recorded_at,
            supersedes=fact.supersedes,
            reason=fact.reason,
            superseded=fact.id in superseded,
        )
        for fact in facts
    ]


def _order(order: Order, steps: list[OrderStep], probes: list[Probe]) -> OrderView:
    return OrderView(
        id=order.id,
        executor=order.executor,
        measure=order.measure,
        target_kind=order.target_kind,
        target_id=order.target_id,
        state=order.state,
        ordered_at=order.ordered_at,
        confirmed_at=order.confirmed_at,
        probed_at=order.probed_at,
        lifted_at=order.lifted_at,
        restored_at=order.restored_at,
        reopened_at=order.reopened_at,
        unprobed=order.unprobed,
        grants=order.grants,
        timeline=[
            StepView(state=step.state, at=step.at, detail=step.detail, effective_at=step.effective_at) for step in steps
        ],
        probes=[_probe(probe) for probe in probes],
    )


def _probe(probe: Probe) -> ProbeView:
    return ProbeView(
        id=probe.id,
        expectation=probe.expectation,
        subject=probe.subject,
        grant_id=probe.grant_id,
        status=probe.status,
        problem=probe.problem,
        reason=probe.reason,
        passed=probe.passed,
        milliseconds=probe.milliseconds,
        at=probe.at,
    )


def _obligation(duty: Obligation, met_at: datetime | None, now: datetime) -> ObligationView:
    late = duty.late_by(met_at, now)
    return ObligationView(
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


def _report(report: AuthorityReport) -> AuthorityReportView:
    return AuthorityReportView(
        id=report.id, content=report.content, reported_by=report.reported_by, reported_at=report.reported_at
    )


def proposal_view(proposal: LiftProposal) -> ProposalView:
    """Return a proposal as the file shows it."""
    return ProposalView(
        id=proposal.id,
        incident_id=proposal.incident_id,
        state=proposal.state,
        proposed_by=proposal.proposed_by,
        reason=proposal.reason,
        proposed_at=proposal.proposed_at,
        decided_by=proposal.decided_by,
        decided_at=proposal.decided_at,
    )
