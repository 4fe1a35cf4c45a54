"""Reads orders and their timelines."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from incident.breaches.models import Incident
from incident.orders.models import Order, OrderStep


async def lock_order(session: AsyncSession, order_id: UUID, unit: UUID | None = None) -> Order | None:
    """Return and lock an order of an incident of `unit`; None for all units."""
    query = select(Order).where(Order.id == order_id)
    if unit is not None:
        query = query.where(Order.incident_id.in_(select(Incident.id).where(Incident.unit_id == unit)))
    order: Order | None = await session.scalar(for_update(query))
    return order


async def lock_orders(session: AsyncSession, incident_id: UUID) -> Sequence[Order]:
    """Return and lock the orders of an incident, by id, so that two transactions cannot deadlock."""
    query = select(Order).where(Order.incident_id == incident_id).order_by(Order.id)
    return (await session.scalars(for_update(query))).all()


async def list_orders(session: AsyncSession, incident_id: UUID) -> Sequence[Order]:
    """Return the orders of an incident."""
    found = await session.scalars(select(Order).where(Order.incident_id == incident_id).order_by(Order.id))
    return found.all()


async def unsettled_order_exists(session: AsyncSession, incident_id: UUID) -> bool:
    """Whether a step of an order of an incident is still under way."""
    return bool(
        await session.scalar(select(exists().where(Order.incident_id == incident_id, Order.next_at.is_not(None))))
    )


async def list_steps(session: AsyncSession, incident_id: UUID) -> Sequence[OrderStep]:
    """Return the timelines of all orders of an incident."""
    orders = select(Order.id).where(Order.incident_id == incident_id)
    found = await session.scalars(select(OrderStep).where(OrderStep.order_id.in_(orders)).order_by(OrderStep.id))
    return found.all()
