"""Waits, for a revoking call, until a cutoff is effective at every enforcement point."""

from sqlalchemy import select

from identity.acknowledgements.service import Effectiveness
from identity.cutoffs.models import CutoffRow, ReceiptRow
from identity.cutoffs.schemas import EffectivenessResponse
from identity.runtime import Runtime

__all__ = ["wait_until_effective"]


async def wait_until_effective(runtime: Runtime, subject: str) -> EffectivenessResponse:
    """Wait until the subject's last cutoff holds at every enforcement point, outside of any transaction (P1)."""
    newest = select(CutoffRow).where(CutoffRow.subject == subject).order_by(CutoffRow.epoch.desc()).limit(1)
    async with runtime.database.transaction() as session:
        cutoff = await session.scalar(newest)
        if cutoff is None:
            return EffectivenessResponse.of(Effectiveness(None, {}, []))
        rows = await session.scalars(select(ReceiptRow).where(ReceiptRow.cutoff_id == cutoff.id))
        known = {row.point: row.applied_at for row in rows}
    if cutoff.effective_at:
        return EffectivenessResponse.of(Effectiveness(cutoff.effective_at, known, []))
    return EffectivenessResponse.of(await runtime.receipts.effective([cutoff]))
