"""Every reaction of incident to what other services say."""

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events import datashare, identity
from common.messaging.events import Envelope
from common.messaging.inbox import Handlers
from incident.orders import service as containment
from incident.projections import service as projections
from incident.runtime import Runtime

__all__ = ["handlers"]

handlers: Handlers[Runtime] = Handlers()

AccountSeen = (
    identity.AccountInvited
    | identity.AccountActivated
    | identity.AccountSuspended
    | identity.AccountReinstated
    | identity.AccountRevoked
)
SystemSeen = (
    identity.SystemRegistered
    | identity.SystemApproved
    | identity.SystemSuspended
    | identity.SystemReinstated
    | identity.SystemDecommissioned
)
UnitSeen = identity.UnitRegistered | identity.UnitSuspended | identity.UnitReinstated
GrantSeen = datashare.GrantSuspended | datashare.GrantReinstated | datashare.GrantRevoked

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
"""What a thing is after each event."""


@handlers.on(identity.UnitRegistered)
@handlers.on(identity.UnitSuspended)
@handlers.on(identity.UnitReinstated)
async def when_a_unit_is_heard_of(session: AsyncSession, event: UnitSeen, envelope: Envelope, _: Runtime) -> None:
    """Keep the units."""
    await projections.hear_unit(session, event.unit_id, STATUS[type(event)], envelope.sequence)


@handlers.on(identity.AccountInvited)
@handlers.on(identity.AccountActivated)
@handlers.on(identity.AccountSuspended)
@handlers.on(identity.AccountReinstated)
@handlers.on(identity.AccountRevoked)
async def when_an_account_is_heard_of(
    session: AsyncSession, event: AccountSeen, envelope: Envelope, _: Runtime
) -> None:
    """Keep the accounts."""
    await projections.hear_account(session, event.account_id, event.unit_id, STATUS[type(event)], envelope.sequence)


@handlers.on(identity.SystemRegistered)
@handlers.on(identity.SystemApproved)
@handlers.on(identity.SystemSuspended)
@handlers.on(identity.SystemReinstated)
@handlers.on(identity.SystemDecommissioned)
async def when_a_system_is_heard_of(session: AsyncSession, event: SystemSeen, envelope: Envelope, _: Runtime) -> None:
    """Keep the connected systems."""
    await projections.hear_system(session, event.system_id, event.unit_id, STATUS[type(event)], envelope.sequence)


@handlers.on(datashare.GrantActivated)
async def when_a_grant_is_activated(
    session: AsyncSession, event: datashare.GrantActivated, envelope: Envelope, _: Runtime
) -> None:
    """Keep the grant with its terms, even when a later status was heard of first."""
    await projections.hear_grant(session, event.grant_id, event.unit_id, "active", envelope.sequence)
    await projections.hear_grant_terms(session, event.grant_id, event.resource_id, event.systems, event.purposes)


@handlers.on(datashare.GrantSuspended)
@handlers.on(datashare.GrantReinstated)
@handlers.on(datashare.GrantRevoked)
async def when_a_grant_changes(session: AsyncSession, event: GrantSeen, envelope: Envelope, _: Runtime) -> None:
    """Keep the grant's status."""
    await projections.hear_grant(session, event.grant_id, event.unit_id, STATUS[type(event)], envelope.sequence)


@handlers.on(identity.ContainmentApplied)
async def when_identity_contained(
    session: AsyncSession, event: identity.ContainmentApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the order; the prober goes and looks."""
    await containment.confirm(
        session, runtime, event.order_id, "identity", known=event.known, effective_at=event.effective_at
    )


@handlers.on(datashare.ContainmentApplied)
async def when_datashare_contained(
    session: AsyncSession, event: datashare.ContainmentApplied, _: Envelope, runtime: Runtime
) -> None:
    """Confirm the order; the prober goes and looks."""
    await containment.confirm(
        session, runtime, event.order_id, "datashare", effective_at=event.applied_at, grants=event.grants
    )


@handlers.on(identity.ContainmentLiftApplied)
async def when_identity_lifted(
    session: AsyncSession, event: identity.ContainmentLiftApplied, _: Envelope, runtime: Runtime
) -> None:
    """Note it; the prober shows it, unless another cause keeps the subject suspended."""
    unprobed = None if event.reinstated else "suspended-for-another-cause"
    await containment.confirm_lift(session, runtime, event.order_id, "identity", unprobed=unprobed)


@handlers.on(datashare.ContainmentLiftApplied)
async def when_datashare_lifted(
    session: AsyncSession, event: datashare.ContainmentLiftApplied, _: Envelope, runtime: Runtime
) -> None:
    """Note it; the prober shows it, unless no grant became active by it."""
    unprobed = None if event.grants else "no-grant-became-active"
    await containment.confirm_lift(session, runtime, event.order_id, "datashare", unprobed=unprobed)
