"""Collects the enforcement points' receipts, and waits until a cutoff is effective at every live point."""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from common.contracts.topics import RECEIPTS
from common.enforcement.enforcement_point import LIVENESS_TIMEOUT, POLL_INTERVAL
from common.enforcement.revocation_feed import Receipt
from common.messaging.bus import Batch, BusUnavailable, Message, TopicReader
from common.messaging.topics import member_name, topic_owner
from common.problems import Unavailable
from common.web.runtime import Runtime
from identity.acknowledgements import queries
from identity.cutoffs.models import CutoffRow

log = structlog.get_logger()

REFUSED = Counter("xindun_receipts_refused_total", "Refused messages on receipts topics", ["reason"])

MAX_CACHED_CUTOFFS = 10_000
"""Cutoffs whose receipts are cached in memory; the database stores them all."""
BUS_TIMEOUT = 5.0
"""Seconds that a revoking call waits for the bus to hold the cutoff."""


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """Since when no enforcement point accepts the credentials that a cutoff ended; None: the bus does not hold it yet.

    `points` have sent receipts. `silent` points have not; the wait was long enough that they refuse by themselves.
    """

    effective_at: datetime | None
    points: dict[str, datetime]
    silent: list[str]


class AcknowledgementCollector:
    """Receipts and heartbeats of the enforcement points; every replica of identity reads them itself."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._heartbeat_at: dict[str, float] = {}
        self._reading_since: float | None = None
        self._confirmed_at = -math.inf
        self._receipts: OrderedDict[UUID, dict[str, datetime]] = OrderedDict()
        self._changed = asyncio.Condition()

    def knows_all(self) -> bool:
        """Whether every deciding point is known: a point without a heartbeat for this long refuses by itself."""
        return self._reading_since is not None and time.monotonic() - self._reading_since > LIVENESS_TIMEOUT

    def live(self) -> set[str]:
        """Return the points with a recent heartbeat."""
        since = time.monotonic() - LIVENESS_TIMEOUT
        return {point for point, at in self._heartbeat_at.items() if at >= since}

    def heartbeat_ages(self) -> dict[str, float]:
        """Return the seconds since the last heartbeat of each point that has not left."""
        now = time.monotonic()
        return {point: now - at for point, at in self._heartbeat_at.items()}

    async def run(self) -> None:
        """Read the receipts topics until cancelled."""
        while True:
            reader: TopicReader | None = None
            try:
                reader = self._runtime.bus.follow(*(topic.name for topic in RECEIPTS), from_end=True)
                while True:
                    batch = await reader.poll(1.0)
                    if self._reading_since is None:
                        self._reading_since = time.monotonic()
                    await self._process(batch)
            except BusUnavailable:
                self._reading_since = None
                log.warning("receipts.bus_away")
            finally:
                if reader:
                    with contextlib.suppress(BusUnavailable):
                        await reader.close()
            await asyncio.sleep(POLL_INTERVAL)

    async def _process(self, batch: Batch) -> None:
        applied: list[dict[str, object]] = []
        async with self._changed:
            for message in batch.messages:
                receipt = _read(message)
                if receipt is None:
                    continue
                if receipt.kind == "left":
                    self._heartbeat_at.pop(receipt.point, None)
                    continue
                self._heartbeat_at[receipt.point] = time.monotonic()
                if receipt.cutoff:
                    self._receipts.setdefault(receipt.cutoff, {})[receipt.point] = receipt.at
                    applied.append({"cutoff_id": receipt.cutoff, "point": receipt.point, "applied_at": receipt.at})
            while len(self._receipts) > MAX_CACHED_CUTOFFS:
                self._receipts.popitem(last=False)
            if batch.confirmed_at is not None:
                self._confirmed_at = batch.confirmed_at
            self._changed.notify_all()
        if applied:
            await self._store(applied)

    async def _store(self, applied: list[dict[str, object]]) -> None:
        """Store receipts; while the database is unavailable, they are only missing from the records."""
        try:
            async with self._runtime.database.transaction() as session:
                await queries.store_receipts(session, applied)
        except Unavailable:
            log.warning("receipts.not_stored", count=len(applied))

    async def wait(self, cutoff: CutoffRow) -> Effectiveness:
        """Wait until every live point has sent its receipt, or the bound is over and the silent ones refuse by themselves.

        Takes at most `BUS_TIMEOUT` seconds for the bus to hold the cutoff, and then the bound (policy `revocation-bound`).
        The live points are known once all receipts from before that moment have been read. Shortly after a start, not
        every point is known: then this waits for the whole bound.
        """
        point = self._runtime.point
        if not await point.until(lambda: point.holds(cutoff.subject, cutoff.epoch), BUS_TIMEOUT):
            return Effectiveness(None, {}, sorted(self.live()))
        held_at = time.monotonic()
        acknowledged = True
        try:
            async with asyncio.timeout(point.bound() + POLL_INTERVAL), self._changed:
                await self._changed.wait_for(
                    lambda: self._confirmed_at >= held_at and self.knows_all() and not self._silent(cutoff)
                )
        except TimeoutError:
            acknowledged = False
        points = dict(self._receipts.get(cutoff.id, {}))
        # Unless every point has sent its receipt, the cutoff is effective only now that the bound is over.
        effective_at = max(points.values(), default=None) if acknowledged else None
        return Effectiveness(effective_at or self._runtime.clock.now(), points, sorted(self._silent(cutoff)))

    def _silent(self, cutoff: CutoffRow) -> set[str]:
        return self.live() - self._receipts.get(cutoff.id, {}).keys()


def _read(message: Message) -> Receipt | None:
    """Return the receipt; None for an unreadable one, and for a point that the topic's owner does not own."""
    try:
        receipt = Receipt.model_validate_json(message.value or b"")
    except ValidationError:
        reason = "unreadable"
    else:
        if member_name(receipt.point) == topic_owner(message.topic):
            return receipt
        reason = "foreign-point"
    REFUSED.labels(reason).inc()
    log.warning("receipts.refused", topic=message.topic, reason=reason)
    return None
