"""Republishes lost feed entries: the topic was deleted, or the brokers' data is gone or outdated (P1).

A point that starts on such a feed knows no cutoff. It accepts no token either, because it knows no key. So keys are
published last: first cutoffs, then policies, then keys.
"""

import asyncio
from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.revocation_feed import Cutoff, Entry, PolicyVersion, VerificationKey
from common.messaging import outbox
from common.messaging.bus import BusUnavailable
from common.messaging.outbox import list_unpublished_keys
from common.messaging.topics import FEED_TOPIC
from common.problems import Unavailable
from identity.cutoffs.queries import list_newest_cutoffs_since
from identity.feed.snapshot import read_feed
from identity.policies.queries import list_versions
from identity.runtime import Runtime
from identity.signing.models import MAX_TOKEN_TERM
from identity.signing.queries import list_keys

log = structlog.get_logger()

CHECK_INTERVAL = 1.0


async def repair_feed(runtime: Runtime) -> None:
    """Check the feed whenever the point reads it from its beginning: a task of every replica; twice does no harm."""
    checked = 0
    while True:
        reading = runtime.point.readings
        if reading != checked and runtime.point.fresh():
            try:
                count = await republish_missing(runtime)
            except (Unavailable, BusUnavailable) as error:
                log.warning("feed.repair_failed", error=type(error).__name__)
            else:
                checked = reading
                if count:
                    log.error("feed.repaired", entries=count)
        await asyncio.sleep(CHECK_INTERVAL)


async def republish_missing(runtime: Runtime) -> int:
    """Republish entries that concern usable credentials and are missing on the feed; return their number.

    Raises `Unavailable`, `BusUnavailable`.
    """
    there = set(await read_feed(runtime))
    async with runtime.database.transaction() as session:
        there.update(await list_unpublished_keys(session, FEED_TOPIC))
        known = [*await _cutoffs(session, runtime), *await _policies(session), *await _keys(session)]
        lost = [entry for entry in known if entry.key not in there]
        for entry in lost:
            outbox.add_entry(session, entry, at=runtime.clock.now())
    return len(lost)


async def _cutoffs(session: AsyncSession, runtime: Runtime) -> Sequence[Entry]:
    """Return the newest cutoff of each subject that is not older than any access token."""
    return [
        Cutoff(id=row.id, subject=row.subject, epoch=row.epoch, reason=row.reason, cause=row.cause, at=row.at)
        for row in await list_newest_cutoffs_since(session, runtime.clock.now() - MAX_TOKEN_TERM)
    ]


async def _policies(session: AsyncSession) -> Sequence[Entry]:
    return [
        PolicyVersion(
            name=row.name, version=row.version, value=row.value, effective_from=row.effective_from, basis=row.basis
        )
        for row in await list_versions(session)
    ]


async def _keys(session: AsyncSession) -> Sequence[Entry]:
    keys = (row for row in await list_keys(session) if row.retired_at is None)
    return [VerificationKey(kid=row.kid, jwk=row.jwk) for row in keys]
