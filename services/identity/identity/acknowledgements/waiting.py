"""Answers a revoking call once its cutoff is effective at every enforcement point (P1)."""

from collections.abc import Callable
from typing import TypeVar

from pydantic import BaseModel

from common.web.dependencies import Write
from identity.acknowledgements.collector import Effectiveness
from identity.acknowledgements.queries import list_receipts_by_cutoff
from identity.acknowledgements.schemas import NOT_YET_EFFECTIVE, EffectivenessResponse
from identity.cutoffs.queries import get_newest_cutoff
from identity.runtime import Runtime

R = TypeVar("R", bound=BaseModel)


async def commit_and_wait(
    write: Write, runtime: Runtime, subject: str, answer: Callable[[EffectivenessResponse], R], status_code: int = 200
) -> R:
    """Commit, then wait until the subject's newest cutoff is effective everywhere; return `answer` of its effectiveness."""
    await write.commit(answer(NOT_YET_EFFECTIVE), status_code)
    return answer(EffectivenessResponse.of(await _wait_until_effective(runtime, subject)))


async def _wait_until_effective(runtime: Runtime, subject: str) -> Effectiveness:
    async with runtime.database.transaction() as session:
        cutoff = await get_newest_cutoff(session, subject)
        if cutoff is None:
            return Effectiveness(None, {}, [])
        receipts = (await list_receipts_by_cutoff(session, [cutoff.id]))[cutoff.id]
    if cutoff.effective_at:
        return Effectiveness(cutoff.effective_at, {row.point: row.applied_at for row in receipts}, [])
    return await runtime.acknowledgements.wait(cutoff)
