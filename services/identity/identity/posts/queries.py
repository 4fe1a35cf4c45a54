"""Reads posts and appointments."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from identity.posts.models import Appointment, Post

__all__ = [
    "appointment_of",
    "appointments_held",
    "appointments_open",
    "appointments_page",
    "post_named",
    "post_of",
    "posts_page",
]


async def post_of(session: AsyncSession, post_id: UUID, unit_id: UUID) -> Post | None:
    """Return a post of the unit."""
    post: Post | None = await session.scalar(select(Post).where(Post.id == post_id, Post.unit_id == unit_id))
    return post


async def post_named(session: AsyncSession, unit_id: UUID, name: str) -> Post | None:
    """Return the unit's post of this name."""
    post: Post | None = await session.scalar(select(Post).where(Post.unit_id == unit_id, Post.name == name))
    return post


async def posts_page(session: AsyncSession, unit_id: UUID, after: UUID | None, limit: int) -> Sequence[Post]:
    """Return the unit's posts by id."""
    query = select(Post).where(Post.unit_id == unit_id).order_by(Post.id).limit(limit)
    if after is not None:
        query = query.where(Post.id > after)
    return (await session.scalars(query)).all()


async def appointment_of(session: AsyncSession, appointment_id: UUID, unit_id: UUID) -> Appointment | None:
    """Return an appointment of the unit as it is now."""
    query = select(Appointment).where(Appointment.id == appointment_id, Appointment.unit_id == unit_id)
    row: Appointment | None = await session.scalar(query.execution_options(populate_existing=True))
    return row


async def appointments_page(
    session: AsyncSession, unit_id: UUID, account_id: UUID | None, after: UUID | None, limit: int
) -> Sequence[tuple[Appointment, Post]]:
    """Return the unit's appointments by id, of one account or of all."""
    query = select(Appointment, Post).join(Post, Appointment.post_id == Post.id).order_by(Appointment.id).limit(limit)
    query = query.where(Appointment.unit_id == unit_id)
    if account_id is not None:
        query = query.where(Appointment.account_id == account_id)
    if after is not None:
        query = query.where(Appointment.id > after)
    return [(row, post) for row, post in (await session.execute(query)).all()]


async def appointments_open(session: AsyncSession, account_id: UUID) -> Sequence[Appointment]:
    """Return what was not ended, expired or not."""
    query = select(Appointment).where(Appointment.account_id == account_id, Appointment.ended_at.is_(None))
    return (await session.scalars(query.order_by(Appointment.id))).all()


async def appointments_held(
    session: AsyncSession, account_id: UUID, when: datetime
) -> Sequence[tuple[Appointment, Post]]:
    """Return what counts at `when`, with the posts (P7)."""
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
