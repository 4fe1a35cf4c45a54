"""Activates, suspends, reinstates and revokes grants: each by one function, whichever caller asks (P2)."""

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
from datashare.containment.queries import list_open_orders
from datashare.grants import queries
from datashare.grants.models import Grant, GrantState, Suspension
from datashare.grants.problems import ContainmentHolds
from datashare.runtime import Runtime

ORDER_CAUSE_PREFIX = "order:"
"""Prefix of the cause of a suspension by containment, before the order's id."""
SUPERSEDED_REASON = "superseded"
CONTAINED_REASON = "contained"


async def activate_grant(session: AsyncSession, runtime: Runtime, agreement: Agreement) -> Grant:
    """Create the grant of an agreement that is now in force. Clause 10.3. The caller has locked the unit.

    It replaces the unit's earlier grant of the resource and inherits that grant's suspensions. Open containment orders
    on the unit or a system suspend it too: a new signature does not end containment (12.3).
    Raises `TermOver` when the agreed end has passed.
    """
    now = runtime.clock.now()
    terms = agreement.terms
    until = now + timedelta(days=terms["term_days"])
    if terms["ends_at"]:
        until = min(until, datetime.fromisoformat(terms["ends_at"]))
    if until <= now:
        raise TermOver
    earlier = await queries.lock_live_grants_of_unit(session, agreement.unit_id, now, resource_id=agreement.resource_id)
    inherited = await queries.list_open_suspensions(session, [grant.id for grant in earlier])
    causes = {(row.cause, row.reason): None for rows in inherited.values() for row in rows}
    systems = [UUID(system) for system in terms["systems"]]
    for order_id in await list_open_orders(session, [agreement.unit_id, *systems]):
        causes[f"{ORDER_CAUSE_PREFIX}{order_id}", CONTAINED_REASON] = None
    for grant in earlier:
        await revoke_grant(session, runtime, grant, reason=SUPERSEDED_REASON, by=f"agreement:{agreement.id}")
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
        await suspend_grant(session, runtime, grant, cause=cause, reason=reason, by=f"agreement:{agreement.id}")
    return grant


async def suspend_grant(
    session: AsyncSession, runtime: Runtime, grant: Grant, *, cause: str, reason: str, by: str
) -> Suspension:
    """Suspend a locked grant for a cause; the same cause suspends it only once. Raises `GrantStep`."""
    suspensions = await _open_suspensions(session, grant)
    if same := [row for row in suspensions if row.cause == cause]:
        return same[0]
    grant.require_step(suspensions, GrantState.SUSPENDED)
    now = runtime.clock.now()
    suspension = Suspension(
        id=new_id(), grant_id=grant.id, cause=cause, reason=reason, suspended_by=by, suspended_at=now
    )
    session.add(suspension)
    await session.flush()
    event = GrantSuspended(grant_id=grant.id, unit_id=grant.unit_id, reason=reason, cause=cause)
    outbox.add(session, event, at=now)
    return suspension


async def reinstate_grant(session: AsyncSession, runtime: Runtime, grant: Grant, *, cause: str, by: str) -> bool:
    """Lift the suspension of a locked grant for `cause`; True when that makes the grant active."""
    suspensions = await _open_suspensions(session, grant)
    lifted = [row for row in suspensions if row.cause == cause]
    if not lifted:
        return False
    now = runtime.clock.now()
    lifted[0].lifted_at, lifted[0].lifted_by = now, by
    await session.flush()
    remaining = [row for row in suspensions if row.cause != cause]
    event = GrantSuspensionLifted(
        grant_id=grant.id, unit_id=grant.unit_id, cause=cause, remaining=[row.cause for row in remaining]
    )
    outbox.add(session, event, at=now)
    if grant.state(remaining) != GrantState.ACTIVE:
        return False
    outbox.add(session, GrantReinstated(grant_id=grant.id, unit_id=grant.unit_id, cause=cause), at=now)
    return True


async def revoke_grant(session: AsyncSession, runtime: Runtime, grant: Grant, *, reason: str, by: str) -> None:
    """End a locked grant for good. Raises `GrantStep`."""
    grant.require_step(await _open_suspensions(session, grant), GrantState.REVOKED)
    now = runtime.clock.now()
    grant.revoked_at, grant.revoked_by, grant.revoked_for = now, by, reason
    outbox.add(session, GrantRevoked(grant_id=grant.id, unit_id=grant.unit_id, reason=reason), at=now)


async def revoke_by_decision(
    session: AsyncSession, runtime: Runtime, principal: Principal, grant_id: UUID, reason: str
) -> Grant:
    """Revoke a grant by decision of the authority. Raises `NotFound`, `GrantStep`."""
    grant = await _lock(session, grant_id)
    await revoke_grant(session, runtime, grant, reason=reason, by=principal.subject)
    return grant


async def suspend_by_decision(
    session: AsyncSession, runtime: Runtime, principal: Principal, grant_id: UUID, reason: str
) -> Grant:
    """Suspend a grant by decision of the authority. Raises `NotFound`, `GrantStep`."""
    grant = await _lock(session, grant_id)
    cause = f"decision:{new_id()}"
    await suspend_grant(session, runtime, grant, cause=cause, reason=reason, by=principal.subject)
    return grant


async def reinstate_by_decision(
    session: AsyncSession, runtime: Runtime, principal: Principal, grant_id: UUID, suspension_id: UUID
) -> Grant:
    """Lift a suspension by decision. Raises `NotFound`, and `ContainmentHolds` for one by containment (12.3)."""
    grant = await _lock(session, grant_id)
    suspension = next((row for row in await _open_suspensions(session, grant) if row.id == suspension_id), None)
    if suspension is None:
        raise NotFound
    if suspension.cause.startswith(ORDER_CAUSE_PREFIX):
        raise ContainmentHolds(cause=suspension.cause)
    await reinstate_grant(session, runtime, grant, cause=suspension.cause, by=principal.subject)
    return grant


async def _open_suspensions(session: AsyncSession, grant: Grant) -> list[Suspension]:
    return (await queries.list_open_suspensions(session, [grant.id]))[grant.id]


async def _lock(session: AsyncSession, grant_id: UUID) -> Grant:
    grant = await queries.lock_grant(session, grant_id)
    if grant is None:
        raise NotFound
    return grant
