"""Every reaction of datashare to events of other services."""

from ipaddress import ip_network

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import (
    AccountActivated,
    AccountInvited,
    AccountReinstated,
    AccountRevoked,
    AccountSuspended,
    AppointmentEnded,
    AppointmentMade,
    DepartureReported,
    HandoverOpened,
    SystemApproved,
    SystemDecommissioned,
    SystemRegistered,
    SystemReinstated,
    SystemSuspended,
    TrainingPassed,
    UndertakingSigned,
    UnitRegistered,
    UnitReinstated,
    UnitSuspended,
)
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.messaging.events import Envelope
from common.messaging.inbox import Handlers
from datashare.applications import service as applications
from datashare.containment import service as containment
from datashare.holdings import service as holdings
from datashare.projections import queries as projections
from datashare.projections.models import Account, Appointment, System, Unit
from datashare.runtime import Runtime

handlers: Handlers[Runtime] = Handlers()


# Units, accounts, appointments, systems


@handlers.on(UnitRegistered)
async def when_unit_registered_store_it(session: AsyncSession, event: UnitRegistered, _: Envelope, __: Runtime) -> None:
    """Its kind decides which openings include it (10.2)."""
    await projections.upsert(session, Unit, id=event.unit_id, kind=event.kind, name=event.name, uscc=event.uscc)


@handlers.on(UnitSuspended)
async def when_unit_suspended_its_queries_are_refused(
    session: AsyncSession, event: UnitSuspended, _: Envelope, __: Runtime
) -> None:
    """The verdict reads the cause."""
    await projections.suspend(session, Unit, event.cause, id=event.unit_id)


@handlers.on(UnitReinstated)
async def when_unit_reinstated_it_may_query(
    session: AsyncSession, event: UnitReinstated, _: Envelope, __: Runtime
) -> None:
    """Its grants were not changed by the suspension."""
    await projections.reinstate(session, Unit, id=event.unit_id)


@handlers.on(AccountInvited)
async def when_account_invited_store_it(session: AsyncSession, event: AccountInvited, _: Envelope, __: Runtime) -> None:
    """It may not query before its activation."""
    await projections.upsert(session, Account, id=event.account_id, unit_id=event.unit_id)


@handlers.on(AccountActivated)
async def when_account_activated_it_may_act(
    session: AsyncSession, event: AccountActivated, _: Envelope, __: Runtime
) -> None:
    """Activation is one link of the legal chain."""
    await projections.upsert(session, Account, id=event.account_id, unit_id=event.unit_id, activated=True)


@handlers.on(TrainingPassed)
async def when_training_passed_it_counts_until_its_end(
    session: AsyncSession, event: TrainingPassed, _: Envelope, __: Runtime
) -> None:
    """Clause 6.1."""
    await projections.upsert(
        session, Account, id=event.account_id, unit_id=event.unit_id, trained_until=event.valid_until
    )


@handlers.on(UndertakingSigned)
async def when_undertaking_signed_store_it(
    session: AsyncSession, event: UndertakingSigned, _: Envelope, __: Runtime
) -> None:
    """Clause 6.1."""
    await projections.upsert(session, Account, id=event.account_id, unit_id=event.unit_id, undertaking_signed=True)


@handlers.on(AppointmentMade)
async def when_appointment_made_its_permissions_count(
    session: AsyncSession, event: AppointmentMade, _: Envelope, __: Runtime
) -> None:
    """Clause 6.2."""
    await projections.upsert(
        session,
        Appointment,
        id=event.appointment_id,
        account_id=event.account_id,
        unit_id=event.unit_id,
        post=event.post,
        permissions=event.permissions,
    )


@handlers.on(AppointmentEnded)
async def when_appointment_ended_its_permissions_end(
    session: AsyncSession, event: AppointmentEnded, _: Envelope, __: Runtime
) -> None:
    """Clause 6.2."""
    await projections.upsert(
        session, Appointment, id=event.appointment_id, account_id=event.account_id, unit_id=event.unit_id, ended=True
    )


@handlers.on(SystemRegistered)
async def when_system_registered_store_it(
    session: AsyncSession, event: SystemRegistered, _: Envelope, __: Runtime
) -> None:
    """It may not query before its approval (5d.3)."""
    await projections.upsert(
        session,
        System,
        id=event.system_id,
        unit_id=event.unit_id,
        name=event.name,
        origins=_networks(event.origins),
        responsible=event.responsible,
    )


@handlers.on(SystemApproved)
async def when_system_approved_it_may_be_applied_for(
    session: AsyncSession, event: SystemApproved, _: Envelope, __: Runtime
) -> None:
    """Clause 5d.3."""
    await projections.upsert(
        session,
        System,
        id=event.system_id,
        unit_id=event.unit_id,
        name=event.name,
        origins=_networks(event.origins),
        approved=True,
    )


@handlers.on(SystemSuspended)
async def when_system_suspended_its_queries_are_refused(
    session: AsyncSession, event: SystemSuspended, _: Envelope, __: Runtime
) -> None:
    """The verdict reads the cause."""
    await projections.suspend(session, System, event.cause, id=event.system_id, unit_id=event.unit_id)


@handlers.on(SystemReinstated)
async def when_system_reinstated_it_may_query(
    session: AsyncSession, event: SystemReinstated, _: Envelope, __: Runtime
) -> None:
    """Its grants were not changed by the suspension."""
    await projections.reinstate(session, System, id=event.system_id, unit_id=event.unit_id)


@handlers.on(SystemDecommissioned)
async def when_system_decommissioned_its_queries_are_refused(
    session: AsyncSession, event: SystemDecommissioned, _: Envelope, __: Runtime
) -> None:
    """Decommissioning is final (3.1)."""
    await projections.upsert(session, System, id=event.system_id, unit_id=event.unit_id, decommissioned=True)


def _networks(origins: list[str]) -> list[str]:
    return [str(ip_network(origin, strict=False)) for origin in origins]


# Departures


@handlers.on(AccountSuspended)
async def when_account_suspended_withdraw_its_applications(
    session: AsyncSession, event: AccountSuspended, _: Envelope, runtime: Runtime
) -> None:
    """A suspended applicant cannot answer for an application."""
    await projections.suspend(session, Account, event.cause, id=event.account_id, unit_id=event.unit_id)
    await applications.withdraw_undecided_applications(session, runtime, event.account_id, reason="applicant-suspended")


@handlers.on(AccountReinstated)
async def when_account_reinstated_it_may_act(
    session: AsyncSession, event: AccountReinstated, _: Envelope, __: Runtime
) -> None:
    """Withdrawn applications stay withdrawn."""
    await projections.reinstate(session, Account, id=event.account_id, unit_id=event.unit_id)


@handlers.on(AccountRevoked)
async def when_account_revoked_withdraw_its_applications(
    session: AsyncSession, event: AccountRevoked, _: Envelope, runtime: Runtime
) -> None:
    """Revocation is final (6.5)."""
    await projections.upsert(session, Account, id=event.account_id, unit_id=event.unit_id, revoked=True)
    await applications.withdraw_undecided_applications(session, runtime, event.account_id, reason="applicant-revoked")


@handlers.on(DepartureReported)
async def when_departure_reported_withdraw_applications(
    session: AsyncSession, event: DepartureReported, _: Envelope, runtime: Runtime
) -> None:
    """Clause 6.5."""
    await applications.withdraw_undecided_applications(session, runtime, event.account_id, reason="applicant-leaves")


@handlers.on(HandoverOpened)
async def when_handover_opened_list_the_holdings(
    session: AsyncSession, event: HandoverOpened, _: Envelope, runtime: Runtime
) -> None:
    """Clause 6.6."""
    await holdings.list_holdings(session, runtime, event.handover_id, event.account_id)


# Containment


@handlers.on(ContainmentOrdered)
async def when_containment_ordered_suspend_the_grants(
    session: AsyncSession, event: ContainmentOrdered, _: Envelope, runtime: Runtime
) -> None:
    """Clause 12.3."""
    if event.executor == "datashare":
        await containment.carry_out_order(session, runtime, event)


@handlers.on(ContainmentLifted)
async def when_containment_lifted_reinstate_the_grants(
    session: AsyncSession, event: ContainmentLifted, _: Envelope, runtime: Runtime
) -> None:
    """Clause 12.3."""
    if event.executor == "datashare":
        await containment.lift_order(session, runtime, event)
