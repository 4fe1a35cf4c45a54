"""Waits, for a revoking call, until a cutoff is effective at every enforcement point."""

from identity.acknowledgements.service import Effectiveness
from identity.cutoffs import queries
from identity.cutoffs.schemas import EffectivenessResponse
from identity.runtime import Runtime


async def wait_until_effective(runtime: Runtime, subject: str) -> EffectivenessResponse:
    """Wait until the subject's last cutoff is effective at every enforcement point, outside of any transaction (P1)."""
    async with runtime.database.transaction() as session:
        cutoff = await queries.get_newest_cutoff(session, subject)
        if cutoff is None:
            return EffectivenessResponse.of(Effectiveness(None, {}, []))
        receipts = (await queries.list_receipts_by_cutoff(session, [cutoff.id]))[cutoff.id]
    if cutoff.effective_at:
        points = {row.point: row.applied_at for row in receipts}
        return EffectivenessResponse.of(Effectiveness(cutoff.effective_at, points, []))
    return EffectivenessResponse.of(await runtime.receipts.effective([cutoff]))
