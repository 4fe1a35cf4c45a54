"""Reports of breaches, the facts about them, and the report to the authority."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.incident import BreachReported, FactCorrected, ReportedToAuthority
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.enforcement.tenancy import visible_unit
from common.ids import new_id
from common.messaging import outbox
from incident.breaches import queries
from incident.breaches.models import AuthorityReport, Fact, FactKind, Incident, Obligation, current_facts
from incident.breaches.problems import (
    AuthorityReceivesReports,
    BreachUnknown,
    FactImpossible,
    PersonNeeded,
    ScopeUnknown,
)
from incident.breaches.schemas import BreachReportRequest, BreachScope, FactCorrectionRequest
from incident.orders import service as containment
from incident.orders.service import ContainmentTarget
from incident.projections import queries as projections
from incident.runtime import Runtime

REPORT_TERM_POLICY = "breach-report-term"
MAX_CLOCK_SKEW = timedelta(minutes=1)
"""A reporter's clock may be ahead of ours by so much."""


async def report(session: AsyncSession, runtime: Runtime, principal: Principal, body: BreachReportRequest) -> Incident:
    """Open the file of a breach and order its containment, at once and without an approval. Clauses 12.3, 12.5.

    Raises `PersonNeeded`, `ScopeUnknown`, `FactImpossible`.
    """
    unit = _person(principal)
    now = runtime.clock.now()
    _check_times(body.occurred_at, body.detected_at, body.aware_at, now)
    targets = await _targets(session, body.scope, visible_unit(principal))
    units = {target.unit for target in targets}
    incident = Incident(
        id=new_id(),
        kind=body.kind,
        description=body.description,
        unit_id=next(iter(units)) if len(units) == 1 else None,
        reporter_id=principal.uuid,
        reporter_unit=unit,
        reported_at=now,
    )
    session.add(incident)
    await session.flush()
    times = {
        FactKind.OCCURRED: body.occurred_at,
        FactKind.DETECTED: body.detected_at,
        FactKind.AWARE: body.aware_at,
        FactKind.REPORTED: now,
    }
    for kind, at in times.items():
        session.add(_fact(incident, kind, at, principal, now))
    obligation = _obligation(runtime, incident)
    session.add(obligation)
    event = BreachReported.model_validate(
        {
            "incident_id": incident.id,
            "unit_id": incident.unit_id,
            "kind": incident.kind,
            "reported_by": principal.subject,
            "occurred_at": body.occurred_at,
            "detected_at": body.detected_at,
            "reported_at": now,
            "report_due_at": obligation.due_at,
        }
    )
    outbox.add(session, event, at=now)
    await containment.issue(session, runtime, incident, targets)
    return incident


def _person(principal: Principal) -> UUID:
    if principal.kind != "account" or principal.unit is None:
        raise PersonNeeded
    return principal.unit


def _check_times(occurred: datetime | None, detected: datetime | None, aware: datetime | None, now: datetime) -> None:
    """Raise `FactImpossible` for a time in the future, and for a detection before the occurrence."""
    if any(at is not None and at > now + MAX_CLOCK_SKEW for at in (occurred, detected, aware)):
        raise FactImpossible("时间不能晚于现在", "It cannot lie in the future")
    if occurred and any(at is not None and at < occurred for at in (detected, aware)):
        raise FactImpossible("发现时间不能早于发生时间", "It cannot be noticed before it happened")


async def _targets(session: AsyncSession, scope: BreachScope, visible: UUID | None) -> list[ContainmentTarget]:
    """Return the measures for a scope. Raises `ScopeUnknown` for objects outside of `visible`."""
    owner: dict[UUID, UUID] = {}
    missing: list[UUID] = []
    asked = {"system": scope.systems, "account": scope.accounts, "grant": scope.grants, "unit": scope.units}
    for kind, ids in asked.items():
        owners = await projections.get_owners(session, kind, ids)
        owner |= owners
        missing += [id_ for id_ in ids if id_ not in owners or visible not in (None, owners[id_])]
    if missing:
        raise ScopeUnknown(missing=sorted({str(id_) for id_ in missing}))
    targets = [ContainmentTarget("identity", "suspend-account", "account", id_, owner[id_]) for id_ in scope.accounts]
    targets += [ContainmentTarget("datashare", "suspend-grants", "grant", id_, owner[id_]) for id_ in scope.grants]
    targets += [ContainmentTarget("datashare", "suspend-grants", "unit", id_, id_) for id_ in scope.units]
    targets += _system_targets(scope.systems, owner)
    targets += [ContainmentTarget("datashare", "suspend-grants", "system", id_, owner[id_]) for id_ in scope.systems]
    for unit in scope.units:
        systems = await projections.list_systems_of_unit(session, unit)
        targets += _system_targets(systems, dict.fromkeys(systems, unit))
    return targets


def _system_targets(systems: Iterable[UUID], owner: dict[UUID, UUID]) -> list[ContainmentTarget]:
    return [ContainmentTarget("identity", "suspend-system", "system", id_, owner[id_]) for id_ in systems]


def _fact(incident: Incident, kind: FactKind, at: datetime | None, principal: Principal, now: datetime) -> Fact:
    return Fact(id=new_id(), incident_id=incident.id, kind=kind, at=at, recorded_by=principal.subject, recorded_at=now)


def _obligation(runtime: Runtime, incident: Incident) -> Obligation:
    """Return the duty to report to the authority, by the rule in force now (P9, clause 12.5)."""
    rule = runtime.policies.at(REPORT_TERM_POLICY, incident.reported_at)
    return Obligation(
        id=new_id(),
        incident_id=incident.id,
        content="report-to-authority",
        clause="12.5",
        basis=rule.basis,
        policy=REPORT_TERM_POLICY,
        policy_version=rule.version,
        from_at=incident.reported_at,
        due_at=incident.reported_at + timedelta(seconds=rule.value),
    )


async def _lock_incident(session: AsyncSession, principal: Principal, incident_id: UUID) -> Incident:
    incident = await queries.lock_incident(session, incident_id, visible_unit(principal))
    if incident is None:
        raise BreachUnknown
    return incident


async def correct_fact(
    session: AsyncSession, runtime: Runtime, principal: Principal, incident_id: UUID, body: FactCorrectionRequest
) -> Incident:
    """Append a fact that supersedes the present one of its kind (P8).

    Raises `PersonNeeded`, `BreachUnknown`, `FactImpossible`.
    """
    _person(principal)
    incident = await _lock_incident(session, principal, incident_id)
    now = runtime.clock.now()
    facts = current_facts(await queries.list_facts(session, incident.id))
    times = {kind: fact.at for kind, fact in facts.items()} | {FactKind(body.kind): body.at}
    _check_times(times[FactKind.OCCURRED], times[FactKind.DETECTED], times[FactKind.AWARE], now)
    old = facts[FactKind(body.kind)]
    fact = _fact(incident, FactKind(body.kind), body.at, principal, now)
    fact.supersedes, fact.reason = old.id, body.reason
    session.add(fact)
    incident.version += 1
    event = FactCorrected(
        incident_id=incident.id,
        fact_id=fact.id,
        supersedes=old.id,
        kind=body.kind,
        at=body.at,
        corrected_by=principal.uuid,
    )
    outbox.add(session, event, at=now)
    return incident


async def report_to_authority(
    session: AsyncSession, runtime: Runtime, principal: Principal, incident_id: UUID, content: str
) -> Incident:
    """Append a report to the authority; a late one is accepted, and stays late. Clause 12.5.

    Raises `BreachUnknown`, `PersonNeeded`, `AuthorityReceivesReports`.
    """
    _person(principal)
    if principal.unit_kind is UnitKind.AUTHORITY:
        raise AuthorityReceivesReports
    incident = await _lock_incident(session, principal, incident_id)
    now = runtime.clock.now()
    session.add(
        AuthorityReport(
            id=new_id(), incident_id=incident.id, content=content, reported_by=principal.uuid, reported_at=now
        )
    )
    incident.version += 1
    (obligation,) = await queries.list_obligations(session, incident.id)
    outbox.add(session, ReportedToAuthority(incident_id=incident.id, reported_at=now, due_at=obligation.due_at), at=now)
    return incident
