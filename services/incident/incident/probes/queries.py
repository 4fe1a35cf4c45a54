"""Reads probes, and the orders that are due for one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from incident.orders.models import Order
from incident.probes.models import Probe


async def lock_due_orders(session: AsyncSession, now: datetime, limit: int) -> Sequence[Order]:
    """Return and lock orders that are due, without those that another worker has locked."""
    due = select(Order).where(Order.next_at <= now).order_by(Order.next_at).limit(limit)
    return (await session.scalars(for_update(due, skip_locked=True))).all()


async def get_next_due(session: AsyncSession) -> datetime | None:
    """Return when the next order is due."""
    due: datetime | None = await session.scalar(select(func.min(Order.next_at)))
    return due


async def list_probes(session: AsyncSession, incident_id: UUID) -> Sequence[Probe]:
    """Return every probe of all orders of an incident."""
    orders = select(Order.id).where(Order.incident_id == incident_id)
    found = await session.scalars(select(Probe).where(Probe.order_id.in_(orders)).order_by(Probe.id))
    return found.all()
