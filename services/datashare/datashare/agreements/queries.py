"""Queries of agreements."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.storage.locks import for_update
from common.storage.pagination import PageRequest, Slice, paginate
from datashare.agreements.models import Agreement, Signature
from datashare.grants.models import Grant


def _agreements(unit: UUID | None) -> Select[Agreement]:
    query = select(Agreement)
    return query.where(Agreement.unit_id == unit) if unit else query


async def get_agreement(session: AsyncSession, agreement_id: UUID, unit: UUID | None) -> Agreement | None:
    """Return an agreement; `unit` None: of any unit."""
    return await session.scalar(_agreements(unit).where(Agreement.id == agreement_id))


async def lock_agreement(session: AsyncSession, agreement_id: UUID) -> Agreement | None:
    """Return and lock an agreement."""
    return await session.scalar(for_update(select(Agreement).where(Agreement.id == agreement_id)))


async def list_agreements(session: AsyncSession, unit: UUID | None, page: PageRequest) -> Slice[Agreement]:
    """Return the agreements of a unit; `unit` None: of all."""
    return await paginate(session, _agreements(unit), Agreement.id, page)


async def list_signatures(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Signature]]:
    """Return the signatures of agreements, by agreement."""
    found: dict[UUID, list[Signature]] = defaultdict(list)
    query = select(Signature).where(Signature.agreement_id.in_(ids)).order_by(Signature.signed_at)
    for row in await session.scalars(query):
        found[row.agreement_id].append(row)
    return found


async def get_grant_ids(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the ids of the grants that rest on agreements, by agreement."""
    rows = await session.execute(select(Grant.agreement_id, Grant.id).where(Grant.agreement_id.in_(ids)))
    return {row[0]: row[1] for row in rows}
