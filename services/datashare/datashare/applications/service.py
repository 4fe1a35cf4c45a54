"""Submits, advises on, decides and withdraws applications."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import (
    ApplicationAdvised,
    ApplicationDecided,
    ApplicationSubmitted,
    ApplicationWithdrawn,
)
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from datashare.agreements import service as agreements
from datashare.applications import queries
from datashare.applications.models import Advice, Application, ApplicationState, Decision
from datashare.applications.problems import BeyondOpening, OriginOutsideSystems, SameHands, SystemNotUsable, TermOver
from datashare.applications.schemas import ApplicationRequest
from datashare.data_rules.problems import DataRulesMissing
from datashare.data_rules.queries import current_data_rules_exist
from datashare.openings.models import Opening
from datashare.openings.problems import ResourceNotOpen
from datashare.openings.queries import get_current_opening
from datashare.projections.models import System
from datashare.projections.queries import list_systems
from datashare.resources.queries import get_open_resource, get_resource_by_id
from datashare.runtime import Runtime

Network = IPv4Network | IPv6Network


async def submit_application(
    session: AsyncSession, runtime: Runtime, principal: Principal, request: ApplicationRequest
) -> Application:
    """Submit an application of the principal's unit. Clauses 10.1, 10.2, 10.4.

    Raises `ResourceNotOpen`, `DataRulesMissing`, `BeyondOpening`, `SystemNotUsable`, `OriginOutsideSystems`,
    `TermOver`.
    """
    assert principal.unit is not None
    if request.ends_at and request.ends_at <= runtime.clock.now():
        raise TermOver
    open_resource = await get_open_resource(session, principal.unit_kind or "", request.resource)
    if open_resource is None:
        raise ResourceNotOpen
    resource, opening = open_resource
    now = runtime.clock.now()
    if not await current_data_rules_exist(session, principal.unit, now):
        raise DataRulesMissing
    systems = await _usable_systems(session, principal.unit, request.systems)
    quota = request.quota
    application = Application(
        id=new_id(),
        unit_id=principal.unit,
        resource_id=resource.id,
        applicant=principal.uuid,
        purposes=sorted(set(request.purposes)),
        # Unknown names stay in the list, so that they are refused.
        fields=list(dict.fromkeys([*resource.ordered(set(request.fields)), *request.fields])),
        systems=sorted({system.id for system in systems}),
        origins=_origins(systems, request.origins),
        term_days=request.term_days,
        quota_calls=quota.calls if quota else opening.quota_calls,
        quota_rows=quota.rows if quota else opening.quota_rows,
        quota_subjects=quota.subjects if quota else opening.quota_subjects,
        reason=request.reason,
        submitted_at=now,
        ends_at=request.ends_at,
    )
    _require_within(application, opening)
    session.add(application)
    event = ApplicationSubmitted(
        application_id=application.id,
        unit_id=application.unit_id,
        resource_id=resource.id,
        applicant=application.applicant,
        purposes=application.purposes,
        fields=application.fields,
        term_days=application.term_days,
    )
    outbox.add(session, event, at=now)
    return application


def _require_within(application: Application, opening: Opening) -> None:
    beyond: dict[str, Any] = {}
    if purposes := sorted(set(application.purposes) - set(opening.purposes)):
        beyond["purposes"] = purposes
    if fields := sorted(set(application.fields) - set(opening.fields)):
        beyond["fields"] = fields
    if application.term_days > opening.longest_term_days:
        beyond["term_days"] = opening.longest_term_days
    for name in ("calls", "rows", "subjects"):
        if getattr(application, f"quota_{name}") > getattr(opening, f"quota_{name}"):
            beyond[f"quota_{name}"] = getattr(opening, f"quota_{name}")
    if beyond:
        raise BeyondOpening(beyond=beyond)


async def _usable_systems(session: AsyncSession, unit: UUID, ids: Sequence[UUID]) -> list[System]:
    own = {system.id: system for system in await list_systems(session, unit, ids)}
    for system_id in ids:
        # A foreign system, an unknown one and a suspended one get the same answer.
        if system_id not in own or not own[system_id].usable:
            raise SystemNotUsable(system=str(system_id))
    return list(own.values())


def _origins(systems: Sequence[System], requested: Sequence[Network] | None) -> list[str]:
    registered = [ip_network(str(origin)) for system in systems for origin in system.origins]
    if requested is None:
        return sorted({str(network) for network in registered})
    outside = [str(network) for network in requested if not any(_contains(known, network) for known in registered)]
    if outside:
        raise OriginOutsideSystems(origins=outside)
    return sorted({str(network) for network in requested})


def _contains(known: Network, network: Network) -> bool:
    if isinstance(network, IPv4Network) and isinstance(known, IPv4Network):
        return network.subnet_of(known)
    return isinstance(network, IPv6Network) and isinstance(known, IPv6Network) and network.subnet_of(known)


async def advise_on_application(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    application_id: UUID,
    *,
    advice: Literal["support", "oppose"],
    reason: str,
) -> None:
    """Give the center's opinion. Raises `NotFound`, `ApplicationStep`, `SameHands`."""
    application = await _lock(session, application_id, None)
    if principal.uuid == application.applicant:
        raise SameHands
    application.move_to(ApplicationState.ADVISED)
    now = runtime.clock.now()
    session.add(
        Advice(
            application_id=application.id,
            applicant=application.applicant,
            advised_by=principal.uuid,
            advice=advice,
            reason=reason,
            advised_at=now,
        )
    )
    event = ApplicationAdvised(application_id=application.id, advice=advice, advised_by=principal.uuid)
    outbox.add(session, event, at=now)


async def decide_application(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    application_id: UUID,
    *,
    decision: Literal["approved", "rejected"],
    reason: str,
) -> None:
    """Take the authority's decision, after the advice; an approval creates the agreement. Clause 10.2.

    Raises `NotFound`, `ApplicationStep`, `SameHands`, and for an approval `ResourceNotOpen`, `BeyondOpening`,
    `DataRulesMissing`.
    """
    application = await _lock(session, application_id, None)
    if principal.uuid == application.applicant:
        raise SameHands
    application.move_to(ApplicationState(decision))
    advice = await queries.get_advice(session, application.id)
    assert advice is not None  # only ADVISED leads to a decision
    if principal.uuid == advice.advised_by:
        raise SameHands
    now = runtime.clock.now()
    session.add(
        Decision(
            application_id=application.id,
            applicant=application.applicant,
            advised_by=advice.advised_by,
            decided_by=principal.uuid,
            decision=decision,
            reason=reason,
            decided_at=now,
        )
    )
    event = ApplicationDecided(application_id=application.id, decision=decision, decided_by=principal.uuid)
    outbox.add(session, event, at=now)
    if decision == "approved":
        opening = await get_current_opening(session, application.resource_id)
        if opening is None or opening.withdrawn:
            raise ResourceNotOpen
        _require_within(application, opening)
        if not await current_data_rules_exist(session, application.unit_id, now):
            raise DataRulesMissing
        resource = await get_resource_by_id(session, application.resource_id)
        await agreements.create_agreement(session, runtime, application, resource)


async def withdraw_application(
    session: AsyncSession, runtime: Runtime, application_id: UUID, unit: UUID | None, *, reason: str
) -> None:
    """Withdraw an application that is not decided yet. Raises `NotFound`, `ApplicationStep`."""
    _withdraw(session, runtime, await _lock(session, application_id, unit), reason)


async def withdraw_undecided_applications(
    session: AsyncSession, runtime: Runtime, account_id: UUID, *, reason: str
) -> None:
    """Withdraw the undecided applications of a person who can no longer answer for them."""
    for application in await queries.lock_undecided_applications(session, account_id):
        _withdraw(session, runtime, application, reason)


def _withdraw(session: AsyncSession, runtime: Runtime, application: Application, reason: str) -> None:
    application.move_to(ApplicationState.WITHDRAWN)
    now = runtime.clock.now()
    application.withdrawn_at, application.withdrawn_for = now, reason
    outbox.add(session, ApplicationWithdrawn(application_id=application.id, reason=reason), at=now)


async def _lock(session: AsyncSession, application_id: UUID, unit: UUID | None) -> Application:
    application = await queries.lock_application(session, application_id, unit)
    if application is None:
        raise NotFound
    return application
