"""Queries of posts and appointments."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.pagination import PageRequest, Slice, paginate
from identity.posts.models import Appointment, Post


async def get_post(session: AsyncSession, post_id: UUID, unit_id: UUID) -> Post | None:
    """Return a post of the unit."""
    post: Post | None = await session.scalar(select(Post).where(Post.id == post_id, Post.unit_id == unit_id))
    return post


async def get_post_by_name(session: AsyncSession, unit_id: UUID, name: str) -> Post | None:
    """Return the unit's post of this name."""
    post: Post | None = await session.scalar(select(Post).where(Post.unit_id == unit_id, Post.name == name))
    return post


async def list_posts(session: AsyncSession, unit_id: UUID, page: PageRequest) -> Slice[Post]:
    """Return the unit's posts."""
    return await paginate(session, select(Post).where(Post.unit_id == unit_id), Post.id, page)


async def get_appointment(session: AsyncSession, appointment_id: UUID, unit_id: UUID) -> Appointment | None:
    """Return an appointment of the unit as it is now."""
    query = select(Appointment).where(Appointment.id == appointment_id, Appointment.unit_id == unit_id)
    row: Appointment | None = await session.scalar(query.execution_options(populate_existing=True))
    return row


async def list_appointments(
    session: AsyncSession, unit_id: UUID, account_id: UUID | None, page: PageRequest
) -> Slice[tuple[Appointment, Post]]:
    """Return the unit's appointments with their posts, of one account or of all."""
    query = select(Appointment, Post).join(Post, Appointment.post_id == Post.id).where(Appointment.unit_id == unit_id)
    if account_id is not None:
        query = query.where(Appointment.account_id == account_id)
    return await paginate(session, query, Appointment.id, page)


async def list_open_appointments(session: AsyncSession, account_id: UUID) -> Sequence[Appointment]:
    """Return the appointments that were not ended, expired or not."""
    query = select(Appointment).where(Appointment.account_id == account_id, Appointment.ended_at.is_(None))
    return (await session.scalars(query.order_by(Appointment.id))).all()


async def list_held_appointments(
    session: AsyncSession, account_id: UUID, when: datetime
) -> Sequence[tuple[Appointment, Post]]:
    """Return the appointments in force at `when`, with their posts (P7)."""
    query = (
        select(Appointment, Post)
        .join(Post, Appointment.post_id == Post.id)
        .where(
            Appointment.account_id == account_id,
            Appointment.ended_at.is_(None),
            or_(Appointment.until.is_(None), Appointment.until > when),
        )
        .order_by(Appointment.id)
    )
    return [(row, post) for row, post in (await session.execute(query)).all()]
