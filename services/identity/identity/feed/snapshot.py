"""Reads the retained content of the feed as it is now; a point's memory may be outdated."""

import contextlib

from common.messaging.bus import BusUnavailable
from common.messaging.topics import FEED_TOPIC
from identity.runtime import Runtime

POLL_TIMEOUT = 1.0


async def read_feed(runtime: Runtime) -> dict[str, bytes]:
    """Return each key of the feed with its last value. Raises `BusUnavailable`."""
    values: dict[str, bytes] = {}
    follower = runtime.bus.follow(FEED_TOPIC)
    try:
        confirmed = None
        while confirmed is None:
            batch = await follower.poll(POLL_TIMEOUT)
            for message in batch.messages:
                if message.value is None:
                    values.pop(message.key, None)
                else:
                    values[message.key] = message.value
            confirmed = batch.confirmed_at
    finally:
        with contextlib.suppress(BusUnavailable):
            await follower.close()
    return values
