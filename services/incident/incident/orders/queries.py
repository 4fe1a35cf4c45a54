"""Reads orders, their timelines and their probes."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from incident.breaches.models import Incident
from incident.orders.models import Order, OrderStep, Probe

__all__ = [
    "any_unsettled",
    "due_orders",
    "lock_order",
    "lock_orders",
    "next_due",
    "orders_of",
    "probes_of",
    "steps_of",
    "visible_order",
]


async def lock_order(session: AsyncSession, order_id: UUID) -> Order | None:
    """Return and lock one order."""
    return await session.get(Order, order_id, with_for_update=True)


async def lock_orders(session: AsyncSession, incident_id: UUID) -> Sequence[Order]:
    """Return and lock the orders of an incident, always in the same order, so that two lockers cannot wait for each other."""
    found = await session.scalars(
        select(Order).where(Order.incident_id == incident_id).order_by(Order.id).with_for_update()
    )
    return found.all()


async def due_orders(session: AsyncSession, now: datetime, most: int) -> Sequence[Order]:
    """Return and lock orders that the prober must look at; what another prober holds is passed over."""
    found = await session.scalars(
        select(Order).where(Order.next_at <= now).order_by(Order.next_at).limit(most).with_for_update(skip_locked=True)
    )
    return found.all()


async def next_due(session: AsyncSession) -> datetime | None:
    """Return when the prober must look at some order next."""
    due: datetime | None = await session.scalar(select(func.min(Order.next_at)))
    return due


async def orders_of(session: AsyncSession, incident_id: UUID) -> Sequence[Order]:
    """Return the orders of an incident."""
    found = await session.scalars(select(Order).where(Order.incident_id == incident_id).order_by(Order.id))
    return found.all()


async def visible_order(session: AsyncSession, order_id: UUID, unit: UUID | None) -> Order | None:
    """Return and lock an order of an incident of `unit`; None for all units."""
    found = select(Order).join(Incident, Incident.id == Order.incident_id).where(Order.id == order_id)
    if unit is not None:
        found = found.where(Incident.unit_id == unit)
    order: Order | None = await session.scalar(found.with_for_update(of=Order))
    return order


async def any_unsettled(session: AsyncSession, incident_id: UUID) -> bool:
    """Whether something is still under way for an incident."""
    return bool(
        await session.scalar(select(exists().where(Order.incident_id == incident_id, Order.next_at.is_not(None))))
    )


async def steps_of(session: AsyncSession, incident_id: UUID) -> Sequence[OrderStep]:
    """Return the timelines of all orders of an incident."""
    mine = select(Order.id).where(Order.incident_id == incident_id)
    found = await session.scalars(select(OrderStep).where(OrderStep.order_id.in_(mine)).order_by(OrderStep.id))
    return found.all()


async def probes_of(session: AsyncSession, incident_id: UUID) -> Sequence[Probe]:
    """Return every probe of all orders of an incident."""
    mine = select(Order.id).where(Order.incident_id == incident_id)
    found = await session.scalars(select(Probe).where(Probe.order_id.in_(mine)).order_by(Probe.id))
    return found.all()
