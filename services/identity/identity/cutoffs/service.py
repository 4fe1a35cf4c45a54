"""The one way in which credentials end: status, epoch, cutoff and feed entry in the caller's transaction (P2)."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.revocation_feed import Cutoff
from common.ids import new_id
from common.messaging import outbox
from identity.cutoffs.models import CutoffRow
from identity.cutoffs.queries import raise_epoch
from identity.runtime import Runtime


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
    epoch = await raise_epoch(session, subject)
    row = CutoffRow(id=new_id(), subject=subject, epoch=epoch, reason=reason, cause=cause, at=now)
    session.add(row)
    entry = Cutoff(id=row.id, subject=subject, epoch=epoch, reason=reason, cause=cause, at=now, until=until)
    outbox.add_entry(session, entry, at=now)
    return row
