"""Registers, approves, suspends, reinstates and decommissions connected systems, and gives them their secrets."""

import hashlib
import secrets
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import (
    SystemApproved,
    SystemDecommissioned,
    SystemRegistered,
    SystemReinstated,
    SystemSecretSet,
    SystemSuspended,
)
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from identity.accounts.models import AccountState
from identity.accounts.queries import get_account
from identity.cutoffs.service import cut_off
from identity.runtime import Runtime
from identity.suspensions import service as suspensions
from identity.systems.models import ConnectedSystem, SystemState
from identity.systems.problems import ApproverRegistered, OriginInvalid, ResponsibleUnknown, SystemStep
from identity.systems.queries import lock_system
from identity.units.problems import UnitNotActive
from identity.units.queries import lock_unit_state

SECRET_BYTES = 32
MIN_PREFIX_V4, MIN_PREFIX_V6 = 8, 32
"""Prefix lengths: of a unit's private network, and of a registry's largest allocation to a provider."""

Network = IPv4Network | IPv6Network


async def register(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    *,
    name: str,
    origins: Sequence[Network],
    responsible: UUID,
) -> ConnectedSystem:
    """Register a system of the caller's unit; it gets no token before it is approved. Clauses 5d.3, 5p.1.

    Raises `OriginInvalid`, `ResponsibleUnknown`, `UnitNotActive`.
    """
    assert principal.unit is not None
    too_wide = [str(network) for network in origins if not _narrow(network)]
    if too_wide:
        raise OriginInvalid(
            f"IPv4 前缀不短于 /{MIN_PREFIX_V4}，IPv6 不短于 /{MIN_PREFIX_V6}",
            f"A prefix has at least {MIN_PREFIX_V4} bits in IPv4, {MIN_PREFIX_V6} in IPv6",
            origins=too_wide,
        )
    person = await get_account(session, responsible, principal.unit)
    if person is None or person.state not in (AccountState.INVITED, AccountState.ACTIVE):
        raise ResponsibleUnknown
    unit = await lock_unit_state(session, principal.unit)
    if unit is None or not unit.active:
        raise UnitNotActive
    now = runtime.clock.now()
    system = ConnectedSystem(
        id=new_id(),
        unit_id=principal.unit,
        name=name,
        origins=sorted({str(network) for network in origins}),
        responsible=responsible,
        registered_by=principal.uuid,
        registered_at=now,
    )
    session.add(system)
    event = SystemRegistered(
        system_id=system.id,
        unit_id=system.unit_id,
        name=name,
        origins=[str(origin) for origin in system.origins],
        responsible=responsible,
    )
    outbox.add(session, event, at=now)
    return system


def _narrow(network: Network) -> bool:
    return network.prefixlen >= (MIN_PREFIX_V4 if isinstance(network, IPv4Network) else MIN_PREFIX_V6)


async def approve(session: AsyncSession, runtime: Runtime, principal: Principal, system_id: UUID) -> ConnectedSystem:
    """Approve a system; its unit can then get a secret for it. Raises `NotFound`, `ApproverRegistered`, `SystemStep`."""
    system = await _lock(session, system_id, None)
    if principal.uuid == system.registered_by:
        raise ApproverRegistered
    if system.state != SystemState.REGISTERED:
        raise SystemStep(state=system.state, wanted=SystemState.APPROVED)
    system.move_to(SystemState.APPROVED)
    now = system.approved_at = runtime.clock.now()
    system.approved_by = principal.uuid
    event = SystemApproved(
        system_id=system.id,
        unit_id=system.unit_id,
        name=system.name,
        origins=[str(origin) for origin in system.origins],
    )
    outbox.add(session, event, at=now)
    return system


async def rotate_secret(
    session: AsyncSession, runtime: Runtime, principal: Principal, system_id: UUID
) -> tuple[ConnectedSystem, str, bool]:
    """Set a new secret; return it, and whether it replaced one, whose tokens end. Clause 5d.3.

    Raises `NotFound`, `SystemStep` unless the system is approved and not suspended.
    """
    system = await _lock(session, system_id, principal.unit)
    if system.state != SystemState.APPROVED:
        raise SystemStep(state=system.state)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    now, replaced = runtime.clock.now(), system.secret_hash is not None
    if replaced:
        await cut_off(session, runtime, system.subject, reason="secret-replaced")
    system.secret_hash = hashlib.sha256(secret.encode()).digest()
    system.secret_set_at = now
    event = SystemSecretSet(system_id=system.id, unit_id=system.unit_id, replaced=replaced)
    outbox.add(session, event, at=now)
    return system, secret, replaced


async def suspend(
    session: AsyncSession, runtime: Runtime, system_id: UUID, *, reason: str, cause: str, note: str | None = None
) -> bool:
    """Suspend the system as `suspensions.suspend` does. Clauses 5d.3, 12.3.

    Return False for an unknown system, and when this cause suspends it already.
    """
    system = await lock_system(session, system_id, None)
    if system is None or not await suspensions.suspend(session, runtime, system, reason=reason, cause=cause, note=note):
        return False
    if system.state == SystemState.SUSPENDED:
        event = SystemSuspended(system_id=system.id, unit_id=system.unit_id, reason=note or reason, cause=cause)
        outbox.add(session, event, at=runtime.clock.now())
    return True


async def reinstate(session: AsyncSession, runtime: Runtime, system_id: UUID, *, cause: str) -> bool:
    """Lift the suspension by this cause; True when no other cause keeps the system suspended."""
    system = await lock_system(session, system_id, None)
    if system is None or not await suspensions.reinstate(session, runtime, system, cause=cause):
        return False
    event = SystemReinstated(system_id=system.id, unit_id=system.unit_id, cause=cause)
    outbox.add(session, event, at=runtime.clock.now())
    return True


async def decommission(
    session: AsyncSession, runtime: Runtime, system_id: UUID, unit_id: UUID | None, *, reason: str
) -> ConnectedSystem:
    """End the system for good; its records stay. Clause 3.1. A repeat changes nothing. Raises `NotFound`."""
    system = await _lock(session, system_id, unit_id)
    if system.state == SystemState.DECOMMISSIONED:
        return system
    system.move_to(SystemState.DECOMMISSIONED)
    now = system.decommissioned_at = runtime.clock.now()
    system.secret_hash = None
    await cut_off(session, runtime, system.subject, reason="system-decommissioned", cause=f"system:{system.id}")
    outbox.add(session, SystemDecommissioned(system_id=system.id, unit_id=system.unit_id, reason=reason), at=now)
    return system


async def _lock(session: AsyncSession, system_id: UUID, unit_id: UUID | None) -> ConnectedSystem:
    system = await lock_system(session, system_id, unit_id)
    if system is None:
        raise NotFound
    return system
