"""Deletes expired cutoffs from the feed, so that its retained content does not grow without bound.

A cutoff ends access tokens that are older than it, and no access token lives longer than `MAX_TOKEN_TERM`. Everything else
that a subject could use asks identity's database. Cutoffs stay on record there, and the log has the events.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta

import structlog

from common.enforcement.revocation_feed import Cutoff, read_entry
from common.messaging.bus import BusUnavailable, Message
from common.messaging.topics import FEED_TOPIC
from identity.feed.snapshot import read_feed
from identity.runtime import Runtime
from identity.signing.models import MAX_TOKEN_TERM

log = structlog.get_logger()

EXPIRY_INTERVAL = 3600.0
EXPIRY_MARGIN = timedelta(days=1)
"""Tolerance for clocks that are off and for late messages."""
DELETE_BATCH_SIZE = 500


async def expire_feed_entries(runtime: Runtime) -> None:
    """Delete expired cutoffs every hour: a task of every replica; doing it twice or halfway does no harm."""
    while True:
        try:
            if count := await delete_expired(runtime):
                log.info("feed.entries_expired", entries=count)
        except BusUnavailable:
            log.warning("feed.expiry_failed")
        await asyncio.sleep(EXPIRY_INTERVAL)


async def delete_expired(runtime: Runtime) -> int:
    """Delete expired cutoffs from the feed; return their number. Raises `BusUnavailable`."""
    entries = (read_entry(value) for value in (await read_feed(runtime)).values())
    keys = expired_keys((entry for entry in entries if isinstance(entry, Cutoff)), runtime.clock.now())
    for start in range(0, len(keys), DELETE_BATCH_SIZE):
        await runtime.bus.publish([Message(FEED_TOPIC, key, None) for key in keys[start : start + DELETE_BATCH_SIZE]])
    return len(keys)


def expired_keys(cutoffs: Iterable[Cutoff], now: datetime) -> list[str]:
    """Return the keys of the cutoffs whose tokens have all expired, with a margin."""
    return [cutoff.key for cutoff in cutoffs if cutoff.at < now - MAX_TOKEN_TERM - EXPIRY_MARGIN]
