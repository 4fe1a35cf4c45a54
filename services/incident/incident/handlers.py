"""The reactions of incident to the events of other services."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events import datashare, identity
from common.messaging.events import Envelope
from common.messaging.inbox import Handlers
from incident.orders import service as orders
from incident.projections import queries as projections
from incident.projections.models import Account, Grant, System, Unit
from incident.runtime import Runtime

handlers: Handlers[Runtime] = Handlers()

AccountEvent = (
    identity.AccountInvited
    | identity.AccountActivated
    | identity.AccountSuspended
    | identity.AccountReinstated
    | identity.AccountRevoked
)
SystemEvent = (
    identity.SystemRegistered
    | identity.SystemApproved
    | identity.SystemSuspended
    | identity.SystemReinstated
    | identity.SystemDecommissioned
)
UnitEvent = identity.UnitRegistered | identity.UnitSuspended | identity.UnitReinstated
GrantEvent = datashare.GrantSuspended | datashare.GrantReinstated | datashare.GrantRevoked

STATUS: dict[type[object], str] = {
    identity.UnitRegistered: "active",
    identity.UnitSuspended: "suspended",
    identity.UnitReinstated: "active",
    identity.AccountInvited: "invited",
    identity.AccountActivated: "active",
    identity.AccountSuspended: "suspended",
    identity.AccountReinstated: "active",
    identity.AccountRevoked: "revoked",
    identity.SystemRegistered: "registered",
    identity.SystemApproved: "active",
    identity.SystemSuspended: "suspended",
    identity.SystemReinstated: "active",
    identity.SystemDecommissioned: "decommissioned",
    datashare.GrantSuspended: "suspended",
    datashare.GrantReinstated: "active",
    datashare.GrantRevoked: "revoked",
}
"""The status after each event."""


@handlers.on(identity.UnitRegistered)
@handlers.on(identity.UnitSuspended)
@handlers.on(identity.UnitReinstated)
async def when_a_unit_changes(session: AsyncSession, event: UnitEvent, envelope: Envelope, _: Runtime) -> None:
    """Update the projection."""
    await projections.upsert(session, Unit, event.unit_id, STATUS[type(event)], envelope.sequence)


@handlers.on(identity.AccountInvited)
@handlers.on(identity.AccountActivated)
@handlers.on(identity.AccountSuspended)
@handlers.on(identity.AccountReinstated)
@handlers.on(identity.AccountRevoked)
async def when_an_account_changes(session: AsyncSession, event: AccountEvent, envelope: Envelope, _: Runtime) -> None:
    """Update the projection."""
    await projections.upsert(
        session, Account, event.account_id, STATUS[type(event)], envelope.sequence, unit=event.unit_id
    )


@handlers.on(identity.SystemRegistered)
@handlers.on(identity.SystemApproved)
@handlers.on(identity.SystemSuspended)
@handlers.on(identity.SystemReinstated)
@handlers.on(identity.SystemDecommissioned)
async def when_a_system_changes(session: AsyncSession, event: SystemEvent, envelope: Envelope, _: Runtime) -> None:
    """Update the projection."""
    await projections.upsert(
        session, System, event.system_id, STATUS[type(event)], envelope.sequence, unit=event.unit_id
    )


@handlers.on(datashare.GrantActivated)
async def when_a_grant_is_activated(
    session: AsyncSession, event: datashare.GrantActivated, envelope: Envelope, _: Runtime
) -> None:
    """Update the projection with the terms, even when a later status has arrived first."""
    await projections.upsert(session, Grant, event.grant_id, "active", envelope.sequence, unit=event.unit_id)
    await projections.set_grant_terms(session, event.grant_id, event.resource_id, event.systems, event.purposes)


@handlers.on(datashare.GrantSuspended)
@handlers.on(datashare.GrantReinstated)
@handlers.on(datashare.GrantRevoked)
async def when_a_grant_changes(session: AsyncSession, event: GrantEvent, envelope: Envelope, _: Runtime) -> None:
    """Update the projection."""
    await projections.upsert(session, Grant, event.grant_id, STATUS[type(event)], envelope.sequence, unit=event.unit_id)


@handlers.on(identity.ContainmentApplied)
async def when_identity_contained(
    session: AsyncSession, event: identity.ContainmentApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the order; the probe worker probes it."""
    await orders.confirm(
        session, runtime, event.order_id, "identity", known=event.known, effective_at=event.effective_at
    )


@handlers.on(datashare.ContainmentApplied)
async def when_datashare_contained(
    session: AsyncSession, event: datashare.ContainmentApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the order; the probe worker probes it."""
    await orders.confirm(
        session, runtime, event.order_id, "datashare", effective_at=event.applied_at, grants=event.grants
    )


@handlers.on(identity.ContainmentLiftApplied)
async def when_identity_lifted(
    session: AsyncSession, event: identity.ContainmentLiftApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the lift; the probe worker probes it, unless another cause keeps the subject suspended."""
    unprobed = None if event.reinstated else "suspended-for-another-cause"
    await orders.confirm_lift(session, runtime, event.order_id, "identity", unprobed=unprobed)


@handlers.on(datashare.ContainmentLiftApplied)
async def when_datashare_lifted(
    session: AsyncSession, event: datashare.ContainmentLiftApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the lift; the probe worker probes it, unless no grant became active by it."""
    unprobed = None if event.grants else "no-grant-became-active"
    await orders.confirm_lift(session, runtime, event.order_id, "datashare", unprobed=unprobed)
