"""Reports departures, cancels the accounts, and closes the files."""

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import DepartureClosed, DepartureReported
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts import queries as account_queries
from identity.accounts import service as accounts
from identity.departures.models import Departure, DepartureState
from identity.departures.problems import DepartureKnown, DepartureTimes, OwnDeparture
from identity.departures.queries import get_departure_of_account, lock_departure
from identity.handovers import service as handovers
from identity.runtime import Runtime


async def report(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    account_id: UUID,
    kind: Literal["transfer", "departure"],
    left_at: datetime,
) -> Departure:
    """Open the file and suspend the account; a repeated report returns the same file. Clause 6.5.

    Raises `NotFound` for an account of another unit, `OwnDeparture`, `DepartureKnown` for a second, different
    report, `DepartureTimes`.
    """
    assert principal.unit is not None
    account = await account_queries.lock_account(session, account_id, principal.unit)
    if account is None:
        raise NotFound
    if account_id == principal.uuid:
        raise OwnDeparture
    if known := await get_departure_of_account(session, account_id):
        if (known.kind, known.left_at) != (kind, left_at):
            raise DepartureKnown(departure=str(known.id))
        return known
    now = runtime.clock.now()
    if left_at > now + timedelta(days=1):
        raise DepartureTimes
    departure = Departure(
        id=new_id(),
        account_id=account_id,
        unit_id=principal.unit,
        kind=kind,
        left_at=left_at,
        reported_at=now,
        reported_by=principal.uuid,
    )
    session.add(departure)
    await accounts.suspend(session, runtime, account_id, reason="departure-reported", cause=f"departure:{departure.id}")
    event = DepartureReported(
        departure_id=departure.id,
        account_id=account_id,
        unit_id=principal.unit,
        kind=kind,
        left_at=left_at,
        reported_at=now,
    )
    outbox.add(session, event, at=now)
    return departure


async def cancel_account(
    session: AsyncSession, runtime: Runtime, principal: Principal, departure_id: UUID
) -> Departure:
    """Revoke the account and open the handover; a repeat changes nothing. Raises `NotFound`, `OwnDeparture`."""
    departure = await lock_departure(session, departure_id)
    if departure is None:
        raise NotFound
    if departure.account_id == principal.uuid:
        raise OwnDeparture
    if departure.state != DepartureState.REPORTED:
        return departure
    departure.move_to(DepartureState.CANCELLED)
    departure.cancelled_at = runtime.clock.now()
    departure.cancelled_by = principal.uuid
    await accounts.revoke(
        session, runtime, departure.account_id, reason="account-revoked", cause=f"departure:{departure.id}"
    )
    await handovers.open_handover(session, runtime, departure)
    return departure


async def close(session: AsyncSession, runtime: Runtime, departure_id: UUID) -> None:
    """Close the file of a completed handover."""
    departure = await lock_departure(session, departure_id)
    assert departure is not None
    departure.move_to(DepartureState.CLOSED)
    now = departure.closed_at = runtime.clock.now()
    event = DepartureClosed(departure_id=departure.id, account_id=departure.account_id, unit_id=departure.unit_id)
    outbox.add(session, event, at=now)


def is_late(runtime: Runtime, departure: Departure) -> bool:
    """Whether it was reported after the term in force when the person left (policy `departure-report-term`)."""
    term = runtime.policies.at("departure-report-term", departure.left_at).value
    return departure.reported_at > departure.left_at + timedelta(seconds=term)
