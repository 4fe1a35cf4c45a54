"""Registers, suspends, reinstates and decommissions units."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import UnitDecommissioned, UnitRegistered, UnitReinstated, UnitSuspended
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts import queries as account_queries
from identity.accounts import service as accounts
from identity.cutoffs.service import cut_off
from identity.posts import service as posts
from identity.runtime import Runtime
from identity.sessions import service as sessions
from identity.suspensions import service as suspensions
from identity.systems import queries as system_queries
from identity.systems import service as systems
from identity.units.csv_import import UnitRow, UnitRowError
from identity.units.models import Level, Unit, UnitState
from identity.units.problems import UnitNotSuspendable
from identity.units.queries import get_units_by_uscc, lock_registration, lock_unit

SUSPENSION_REASON = "unit-suspended"
DECOMMISSION_REASON = "unit-decommissioned"


@dataclass(slots=True)
class ImportOutcome:
    """The outcome of an import; `unchanged` units were registered with the same data before."""

    registered: list[Unit] = field(default_factory=list)
    unchanged: list[Unit] = field(default_factory=list)
    rejected: list[UnitRowError] = field(default_factory=list)


async def register_rows(
    session: AsyncSession, runtime: Runtime, rows: Iterable[UnitRow | UnitRowError]
) -> ImportOutcome:
    """Register the accepted rows; the same file again changes nothing. Clauses 3.1, 4.1."""
    outcome = ImportOutcome()
    accepted: list[UnitRow] = []
    for row in rows:
        if isinstance(row, UnitRowError):
            outcome.rejected.append(row)
        else:
            accepted.append(row)
    await lock_registration(session)
    known = await get_units_by_uscc(session, [row.uscc for row in accepted])
    before = set(known)
    for row in accepted:
        unit = known.get(row.uscc)
        if unit is None:
            unit = await register(
                session, runtime, kind=row.kind, level=row.level, name=row.name, uscc=row.uscc, duties=row.duties
            )
            known[row.uscc] = unit
            outcome.registered.append(unit)
        elif not _same(unit, row):
            outcome.rejected.append(_conflict(row))
        elif row.uscc in before:
            outcome.unchanged.append(unit)
    outcome.rejected.sort(key=lambda refused: refused.line)
    return outcome


def _same(unit: Unit, row: UnitRow) -> bool:
    return (unit.kind, unit.level, unit.name, set(unit.duties)) == (row.kind, row.level, row.name, set(row.duties))


def _conflict(row: UnitRow) -> UnitRowError:
    return UnitRowError(
        row.line,
        "uscc",
        "uscc-registered",
        "该代码已登记，内容不同",
        "The code is registered with other particulars",
    )


async def register(
    session: AsyncSession,
    runtime: Runtime,
    *,
    kind: UnitKind,
    level: Level,
    name: str,
    uscc: str,
    duties: Iterable[str],
) -> Unit:
    """Register one unit, with the posts of its kind."""
    now = runtime.clock.now()
    unit = Unit(id=new_id(), kind=kind, level=level, duties=list(duties), name=name, uscc=uscc, registered_at=now)
    session.add(unit)
    await session.flush()
    posts.create_default_posts(session, runtime, unit)
    event = UnitRegistered(
        unit_id=unit.id, kind=unit.kind, level=unit.level, name=unit.name, uscc=unit.uscc, duties=unit.duties
    )
    outbox.add(session, event, at=now)
    return unit


async def suspend(session: AsyncSession, runtime: Runtime, unit_id: UUID, *, note: str, cause: str) -> Unit:
    """Suspend the unit as `suspensions.suspend` does, and end its people's sessions. Clause 5d.3.

    A repeat by the same cause changes nothing. Raises `NotFound`, `UnitNotSuspendable`, `UnitStep`.
    """
    unit = await _lock(session, unit_id)
    if not unit.uses:
        raise UnitNotSuspendable
    if unit.state != UnitState.SUSPENDED:
        unit.move_to(UnitState.SUSPENDED)
    if await suspensions.suspend(session, runtime, unit, reason=SUSPENSION_REASON, cause=cause, note=note):
        await sessions.end_sessions_of_unit(session, runtime, unit.id, reason=SUSPENSION_REASON)
        outbox.add(session, UnitSuspended(unit_id=unit.id, reason=note, cause=cause), at=runtime.clock.now())
    return unit


async def reinstate(session: AsyncSession, runtime: Runtime, unit_id: UUID, *, cause: str) -> Unit:
    """Lift the suspension by this cause; another cause keeps the unit suspended. Raises `NotFound`."""
    unit = await _lock(session, unit_id)
    if await suspensions.reinstate(session, runtime, unit, cause=cause):
        outbox.add(session, UnitReinstated(unit_id=unit.id, cause=cause), at=runtime.clock.now())
    return unit


async def decommission(session: AsyncSession, runtime: Runtime, unit_id: UUID, *, reason: str) -> Unit:
    """End the unit for good, with its accounts and systems; the records stay. A repeat changes nothing. Clause 3.1.

    Raises `NotFound`, `UnitNotSuspendable`.
    """
    cause = f"unit:{unit_id}"
    # Every path locks the account or system first, then the unit.
    await _end_members(session, runtime, unit_id, cause)
    unit = await _lock(session, unit_id)
    if not unit.uses:
        raise UnitNotSuspendable
    if unit.state == UnitState.DECOMMISSIONED:
        return unit
    unit.move_to(UnitState.DECOMMISSIONED)
    now = unit.decommissioned_at = runtime.clock.now()
    await cut_off(session, runtime, unit.subject, reason=DECOMMISSION_REASON, cause=cause)
    # Some services handle the suspension only.
    outbox.add(session, UnitSuspended(unit_id=unit.id, reason=reason, cause=cause), at=now)
    outbox.add(session, UnitDecommissioned(unit_id=unit.id, reason=reason), at=now)
    await _end_members(session, runtime, unit_id, cause)  # those that were added before the lock
    return unit


async def _end_members(session: AsyncSession, runtime: Runtime, unit_id: UUID, cause: str) -> None:
    for account_id in await account_queries.list_live_account_ids(session, unit_id):
        await accounts.revoke(session, runtime, account_id, reason=DECOMMISSION_REASON, cause=cause)
    for system_id in await system_queries.list_live_system_ids(session, unit_id):
        await systems.decommission(session, runtime, system_id, None, reason=DECOMMISSION_REASON)


async def _lock(session: AsyncSession, unit_id: UUID) -> Unit:
    unit = await lock_unit(session, unit_id)
    if unit is None:
        raise NotFound
    return unit
