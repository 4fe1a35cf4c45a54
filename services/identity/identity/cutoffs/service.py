"""The one way in which credentials end: status, epoch, cutoff and feed entry in the caller's transaction (P2)."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.revocation_feed import Cutoff
from common.ids import new_id
from common.messaging import outbox
from identity.cutoffs.models import CutoffRow, Epoch
from identity.runtime import Runtime

__all__ = ["cut_off", "get_epochs"]


async def cut_off(
    session: AsyncSession,
    runtime: Runtime,
    subject: str,
    *,
    reason: str,
    cause: str | None = None,
    until: datetime | None = None,
) -> CutoffRow:
    """End every credential that `subject` holds now; new ones, if it may have any, carry the next epoch.

    `until`: when the last credential concerned has expired by itself (sessions), so that points may forget the cutoff.
    """
    now = runtime.clock.now()
    raised = insert(Epoch).values(subject=subject, epoch=1)
    epoch = await session.scalar(
        raised.on_conflict_do_update(index_elements=[Epoch.subject], set_={"epoch": Epoch.epoch + 1}).returning(
            Epoch.epoch
        )
    )
    assert epoch is not None
    row = CutoffRow(id=new_id(), subject=subject, epoch=epoch, reason=reason, cause=cause, at=now)
    session.add(row)
    entry = Cutoff(id=row.id, subject=subject, epoch=epoch, reason=reason, cause=cause, at=now, until=until)
    outbox.add_entry(session, entry, at=now)
    return row


async def get_epochs(session: AsyncSession, subjects: Sequence[str]) -> dict[str, int]:
    """Return the epoch that a new credential of each subject carries."""
    rows = await session.execute(select(Epoch.subject, Epoch.epoch).where(Epoch.subject.in_(subjects)))
    known = {row.subject: row.epoch for row in rows}
    return {subject: known.get(subject, 0) for subject in subjects}
