"""What is asked about agreements."""

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from datashare.agreements.models import Agreement, Signature
from datashare.grants.models import Grant

__all__ = ["agreement_of", "agreements_of", "grants_of_agreements", "signatures_of"]


async def agreement_of(
    session: AsyncSession, agreement_id: UUID, unit: UUID | None, *, lock: bool = False
) -> Agreement | None:
    """Return an agreement; `unit` None: of any unit."""
    statement = select(Agreement).where(Agreement.id == agreement_id)
    if unit:
        statement = statement.where(Agreement.unit_id == unit)
    if lock:
        statement = statement.with_for_update().execution_options(populate_existing=True)
    return await session.scalar(statement)


async def agreements_of(
    session: AsyncSession, unit: UUID | None, after: UUID | None, limit: int
) -> Sequence[Agreement]:
    """Return the agreements of a unit; `unit` None: of all."""
    statement = select(Agreement).order_by(Agreement.id).limit(limit)
    if unit:
        statement = statement.where(Agreement.unit_id == unit)
    if after:
        statement = statement.where(Agreement.id > after)
    return list(await session.scalars(statement))


async def signatures_of(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, list[Signature]]:
    """Return the signatures of agreements."""
    found: dict[UUID, list[Signature]] = defaultdict(list)
    statement = select(Signature).where(Signature.agreement_id.in_(ids)).order_by(Signature.signed_at)
    for row in await session.scalars(statement):
        found[row.agreement_id].append(row)
    return found


async def grants_of_agreements(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """Return the grants that rest on agreements."""
    rows = await session.execute(select(Grant.agreement_id, Grant.id).where(Grant.agreement_id.in_(ids)))
    return {row[0]: row[1] for row in rows}
