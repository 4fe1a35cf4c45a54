"""Tells a caller who ended credentials since when and where that holds."""

from sqlalchemy import select

from identity.acknowledgements.service import Effectiveness
from identity.cutoffs.models import CutoffRow, ReceiptRow
from identity.cutoffs.schemas import EffectivenessView
from identity.runtime import Runtime

__all__ = ["effect_on"]


async def effect_on(runtime: Runtime, subject: str) -> EffectivenessView:
    """Wait until the subject's last cutoff holds at every enforcement point, outside of any transaction (P1)."""
    newest = select(CutoffRow).where(CutoffRow.subject == subject).order_by(CutoffRow.epoch.desc()).limit(1)
    async with runtime.database.transaction() as session:
        cutoff = await session.scalar(newest)
        if cutoff is None:
            return EffectivenessView.of(Effectiveness(None, {}, []))
        rows = await session.scalars(select(ReceiptRow).where(ReceiptRow.cutoff_id == cutoff.id))
        known = {row.point: row.applied_at for row in rows}
    if cutoff.effective_at:
        return EffectivenessView.of(Effectiveness(cutoff.effective_at, known, []))
    return EffectivenessView.of(await runtime.receipts.effective([cutoff]))
