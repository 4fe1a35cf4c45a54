"""Prunes published outbox rows, completed inbox rows and expired idempotency answers.

The serving role cannot delete. `prune` (`common.storage.migrations.create_prune`) belongs to the owner, which enforces the ages.
Numbering reads a counter, not rows, so pruning leaves no gap.
"""

import asyncio

import structlog
from prometheus_client import Counter
from sqlalchemy import text

from common.problems import Unavailable
from common.web.runtime import Runtime

log = structlog.get_logger()

PRUNED = Counter("xindun_pruned_total", "Rows removed because they are past their use", ["service"])

PRUNE_BATCH_SIZE = 500
PRUNE_INTERVAL = 3600.0
"""Seconds between two runs."""
PRUNE_PAUSE = 0.5
"""Seconds between batches: the service has other things to do."""


async def prune(runtime: Runtime) -> int:
    """Remove one batch and return its size; 0 also while another replica is at it."""
    async with runtime.database.transaction() as session:
        if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(hashtext('xindun.prune'))")):
            return 0
        kept = {"days": runtime.settings.outbox_kept_days, "most": PRUNE_BATCH_SIZE}
        removed: int = await session.scalar(text("SELECT prune(make_interval(days => :days), :most)"), kept) or 0
    PRUNED.labels(runtime.service).inc(removed)
    return removed


async def prune_periodically(runtime: Runtime) -> None:
    """Remove old rows in batches, every hour: a task of every service."""
    while True:
        total = 0
        try:
            while removed := await prune(runtime):
                total += removed
                await asyncio.sleep(PRUNE_PAUSE)
        except Unavailable:
            log.warning("prune.database_away", service=runtime.service)
        if total:
            log.info("prune.removed", service=runtime.service, rows=total)
        await asyncio.sleep(PRUNE_INTERVAL)
