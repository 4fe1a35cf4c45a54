"""The one way in which a grant begins, is suspended, comes back and ends, whichever door asks for it (P2)."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import (
    GrantActivated,
    GrantReinstated,
    GrantRevoked,
    GrantSuspended,
    GrantSuspensionLifted,
)
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from datashare.agreements.models import Agreement
from datashare.applications.problems import TermOver
from datashare.containment.queries import open_orders_on
from datashare.grants import queries
from datashare.grants.models import Grant, GrantState, Suspension
from datashare.grants.problems import ContainmentHolds
from datashare.runtime import Runtime

__all__ = ["ORDER", "activate", "reinstate", "reinstate_by_hand", "revoke", "suspend", "suspend_by_hand"]

ORDER = "order:"
"""How the cause of a suspension by containment begins."""
SUPERSEDED = "superseded"
INHERITED = "contained"


async def activate(session: AsyncSession, runtime: Runtime, agreement: Agreement) -> Grant:
    """Make the grant of an agreement that is now in force. Clause 10.3. The caller holds the unit.

    It takes the place of the unit's earlier grant of the resource, and with it what suspended that one; and open
    containment orders on the unit or a system concern it too: signing anew is no way out of containment (12.3).
    Raises `TermOver` when the end that was agreed has passed.
    """
    now = runtime.clock.now()
    terms = agreement.terms
    until = now + timedelta(days=terms["term_days"])
    if terms["ends_at"]:
        until = min(until, datetime.fromisoformat(terms["ends_at"]))
    if until <= now:
        raise TermOver
    earlier = await queries.lock_live_of_unit(session, agreement.unit_id, now, resource_id=agreement.resource_id)
    inherited = await queries.open_suspensions(session, [grant.id for grant in earlier])
    causes = {(row.cause, row.reason): None for rows in inherited.values() for row in rows}
    systems = [UUID(system) for system in terms["systems"]]
    for order_id in await open_orders_on(session, [agreement.unit_id, *systems]):
        causes[f"{ORDER}{order_id}", INHERITED] = None
    for grant in earlier:
        await revoke(session, runtime, grant, reason=SUPERSEDED, by=f"agreement:{agreement.id}")
    await session.flush()
    grant = Grant(
        id=new_id(),
        unit_id=agreement.unit_id,
        resource_id=agreement.resource_id,
        agreement_id=agreement.id,
        systems=systems,
        purposes=terms["purposes"],
        fields=terms["fields"],
        origins=terms["origins"],
        valid_from=now,
        valid_until=until,
        quota_calls=terms["quota"]["calls"],
        quota_rows=terms["quota"]["rows"],
        quota_subjects=terms["quota"]["subjects"],
    )
    session.add(grant)
    await session.flush()
    event = GrantActivated(
        grant_id=grant.id,
        unit_id=grant.unit_id,
        resource_id=grant.resource_id,
        agreement_id=agreement.id,
        systems=grant.systems,
        purposes=grant.purposes,
        fields=grant.fields,
        valid_from=grant.valid_from,
        valid_until=grant.valid_until,
        quota=terms["quota"],
    )
    outbox.add(session, event, at=now)
    for cause, reason in causes:
        await suspend(session, runtime, grant, cause=cause, reason=reason, by=f"agreement:{agreement.id}")
    return grant


async def suspend(
    session: AsyncSession, runtime: Runtime, grant: Grant, *, cause: str, reason: str, by: str
) -> Suspension:
    """Suspend a locked grant for a cause; under the same cause it is suspended once. Raises `GrantStep`."""
    known = (await queries.open_suspensions(session, [grant.id]))[grant.id]
    if same := [row for row in known if row.cause == cause]:
        return same[0]
    grant.require_step(known, GrantState.SUSPENDED)
    now = runtime.clock.now()
    suspension = Suspension(
        id=new_id(), grant_id=grant.id, cause=cause, reason=reason, suspended_by=by, suspended_at=now
    )
    session.add(suspension)
    await session.flush()
    event = GrantSuspended(grant_id=grant.id, unit_id=grant.unit_id, reason=reason, cause=cause)
    outbox.add(session, event, at=now)
    return suspension


async def reinstate(session: AsyncSession, runtime: Runtime, grant: Grant, *, cause: str, by: str) -> bool:
    """Lift what suspends a locked grant for `cause`; True when the grant is active again by it."""
    known = (await queries.open_suspensions(session, [grant.id]))[grant.id]
    lifted = [row for row in known if row.cause == cause]
    if not lifted:
        return False
    now = runtime.clock.now()
    lifted[0].lifted_at, lifted[0].lifted_by = now, by
    await session.flush()
    remaining = [row for row in known if row.cause != cause]
    event = GrantSuspensionLifted(
        grant_id=grant.id, unit_id=grant.unit_id, cause=cause, remaining=[row.cause for row in remaining]
    )
    outbox.add(session, event, at=now)
    if grant.state(remaining) != GrantState.ACTIVE:
        return False
    outbox.add(session, GrantReinstated(grant_id=grant.id, unit_id=grant.unit_id, cause=cause), at=now)
    return True


async def revoke(session: AsyncSession, runtime: Runtime, grant: Grant, *, reason: str, by: str) -> None:
    """End a locked grant for good. Raises `GrantStep`."""
    known = (await queries.open_suspensions(session, [grant.id]))[grant.id]
    grant.require_step(known, GrantState.REVOKED)
    now = runtime.clock.now()
    grant.revoked_at, grant.revoked_by, grant.revoked_for = now, by, reason
    outbox.add(session, GrantRevoked(grant_id=grant.id, unit_id=grant.unit_id, reason=reason), at=now)


async def suspend_by_hand(
    session: AsyncSession, runtime: Runtime, principal: Principal, grant_id: UUID, reason: str
) -> Grant:
    """Suspend a grant by decision of the authority. Raises `NotFound`, `GrantStep`."""
    grant = await _locked(session, grant_id)
    cause = f"decision:{new_id()}"
    await suspend(session, runtime, grant, cause=cause, reason=reason, by=principal.subject)
    return grant


async def reinstate_by_hand(
    session: AsyncSession, runtime: Runtime, principal: Principal, grant_id: UUID, suspension_id: UUID
) -> Grant:
    """Lift a suspension by decision. Raises `NotFound`, and `ContainmentHolds` for one that an order made (12.3)."""
    grant = await _locked(session, grant_id)
    known = (await queries.open_suspensions(session, [grant.id]))[grant.id]
    found = next((row for row in known if row.id == suspension_id), None)
    if found is None:
        raise NotFound
    if found.cause.startswith(ORDER):
        raise ContainmentHolds(cause=found.cause)
    await reinstate(session, runtime, grant, cause=found.cause, by=principal.subject)
    return grant


async def _locked(session: AsyncSession, grant_id: UUID) -> Grant:
    grant = await queries.grant_of(session, grant_id, None, lock=True)
    if grant is None:
        raise NotFound
    return grant
