"""Collects the enforcement points' receipts, and determines when a cutoff became effective everywhere."""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from common.contracts.events.identity import ContainmentApplied, CutoffEffective
from common.contracts.topics import RECEIPTS
from common.enforcement.enforcement_point import LIVENESS_TIMEOUT, POLL_INTERVAL, EnforcementPoint
from common.enforcement.revocation_feed import Receipt
from common.messaging import outbox
from common.messaging.bus import Batch, BusUnavailable, Message, TopicReader
from common.messaging.topics import member_name, topic_owner
from common.problems import Unavailable
from identity.containment.queries import lock_order_of_cutoff
from identity.cutoffs import queries
from identity.cutoffs.models import CutoffRow

if TYPE_CHECKING:
    from identity.runtime import Runtime


log = structlog.get_logger()

REFUSED = Counter("xindun_receipts_refused_total", "Refused messages on receipts topics", ["reason"])

MAX_CACHED_CUTOFFS = 10_000
"""Cutoffs whose receipts are remembered in memory; the database keeps them all."""
BUS_TIMEOUT = 5.0
"""Seconds that a revoking call waits for the bus to hold the cutoff."""


@dataclass(frozen=True, slots=True)
class Effectiveness:
    """Since when no enforcement point accepts what a cutoff ended; `effective_at` None: the bus does not hold it yet.

    `points` gave receipts; `silent` did not, and were waited for until they refuse by themselves.
    """

    effective_at: datetime | None
    points: dict[str, datetime]
    silent: list[str]


class AcknowledgementCollector:
    """Receipts and heartbeats of the points; every replica of identity reads them itself."""

    def __init__(self, runtime: "Runtime") -> None:
        self._runtime = runtime
        self._alive: dict[str, float] = {}
        self._listening_since: float | None = None
        self._confirmed_at = -math.inf
        self._receipts: OrderedDict[UUID, dict[str, datetime]] = OrderedDict()
        self._news = asyncio.Condition()

    def knows_all(self) -> bool:
        """Whether every deciding point is known: one without a heartbeat for this long refuses by itself."""
        return self._listening_since is not None and time.monotonic() - self._listening_since > LIVENESS_TIMEOUT

    def live(self) -> set[str]:
        """Return the points with a recent heartbeat."""
        since = time.monotonic() - LIVENESS_TIMEOUT
        return {point for point, at in self._alive.items() if at >= since}

    def last_signs(self) -> dict[str, float]:
        """Return the seconds since the last heartbeat of each point that has not left."""
        now = time.monotonic()
        return {point: now - at for point, at in self._alive.items()}

    async def run(self) -> None:
        """Follow the receipts until cancelled."""
        while True:
            follower: TopicReader | None = None
            try:
                follower = self._runtime.bus.follow(*(topic.name for topic in RECEIPTS), from_end=True)
                while True:
                    batch = await follower.poll(1.0)
                    if self._listening_since is None:
                        self._listening_since = time.monotonic()
                    await self._take(batch)
            except BusUnavailable:
                self._listening_since = None
                log.warning("receipts.bus_away")
            finally:
                if follower:
                    with contextlib.suppress(BusUnavailable):
                        await follower.close()
            await asyncio.sleep(POLL_INTERVAL)

    async def _take(self, batch: Batch) -> None:
        applied: list[dict[str, object]] = []
        async with self._news:
            for message in batch.messages:
                receipt = _read(message)
                if receipt is None:
                    continue
                if receipt.kind == "left":
                    self._alive.pop(receipt.point, None)
                    continue
                self._alive[receipt.point] = time.monotonic()
                if receipt.cutoff:
                    self._receipts.setdefault(receipt.cutoff, {})[receipt.point] = receipt.at
                    applied.append({"cutoff_id": receipt.cutoff, "point": receipt.point, "applied_at": receipt.at})
            while len(self._receipts) > MAX_CACHED_CUTOFFS:
                self._receipts.popitem(last=False)
            if batch.confirmed_at is not None:
                self._confirmed_at = batch.confirmed_at
            self._news.notify_all()
        if applied:
            await self._keep(applied)

    async def _keep(self, applied: list[dict[str, object]]) -> None:
        """Store receipts; while the database is away they are only missing in the departure's file."""
        try:
            async with self._runtime.database.transaction() as session:
                await queries.store_receipts(session, applied)
        except Unavailable:
            log.warning("receipts.not_stored", count=len(applied))

    async def effective(self, cutoffs: Sequence[CutoffRow]) -> Effectiveness:
        """Wait until every live point has given its receipt, or has had the bound to become stale and refuse by itself.

        Which points live is known once everything that was said before the bus held the cutoffs has been read here.
        Just after a start not every point is known: then this waits for the bound.
        At most `BUS_TIMEOUT` seconds for the bus to hold the cutoffs, and then the bound (policy `revocation-bound`).
        """
        point = self._runtime.point
        if not await point.until(lambda: all(point.holds(c.subject, c.epoch) for c in cutoffs), BUS_TIMEOUT):
            return Effectiveness(None, {}, sorted(self.live()))
        held_at = time.monotonic()
        answered = True
        try:
            async with asyncio.timeout(point.bound() + POLL_INTERVAL), self._news:
                await self._news.wait_for(
                    lambda: self._confirmed_at >= held_at and self.knows_all() and not self._silent(cutoffs)
                )
        except TimeoutError:
            answered = False
        points = {p: at for c in cutoffs for p, at in self._receipts.get(c.id, {}).items()}
        # Without a receipt of every point, known or not, the cutoff is effective only now that the bound is over.
        effective_at = max(points.values(), default=None) if answered else None
        return Effectiveness(effective_at or self._runtime.clock.now(), points, sorted(self._silent(cutoffs)))

    def _silent(self, cutoffs: Sequence[CutoffRow]) -> set[str]:
        return {p for p in self.live() for c in cutoffs if p not in self._receipts.get(c.id, {})}


def _read(message: Message) -> Receipt | None:
    """Return the receipt, None for an unreadable message, which must not stop the reading of others.

    A topic's owner sends receipts of its own points only.
    """
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


async def confirm_cutoffs(runtime: "Runtime") -> None:
    """Write down when each cutoff became effective, and confirm containment orders: a task that survives any death.

    Each cutoff waits for its receipts by itself, so that a silent point delays none but those that wait for it.
    """
    point = runtime.point
    waiting: set[UUID] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            seen_revision = point.revision
            try:
                async with runtime.database.transaction() as session:
                    unconfirmed = await queries.list_unconfirmed_cutoffs(session)
                for row in unconfirmed:
                    if row.id not in waiting:
                        waiting.add(row.id)
                        group.create_task(_confirm(runtime, row, waiting))
            except Unavailable:
                log.warning("cutoffs.database_away")
            await point.until(partial(_moved, point, seen_revision), 1.0)


def _moved(point: EnforcementPoint, since: int) -> bool:
    return point.revision != since


async def _confirm(runtime: "Runtime", row: CutoffRow, waiting: set[UUID]) -> None:
    try:
        outcome = await runtime.receipts.effective([row])
        if outcome.effective_at is not None:
            await _record_effective(runtime, row.id, outcome.effective_at, outcome)
    except Unavailable:
        log.warning("cutoffs.database_away")
    finally:
        waiting.discard(row.id)


async def _record_effective(
    runtime: "Runtime", cutoff_id: UUID, effective_at: datetime, outcome: Effectiveness
) -> None:
    async with runtime.database.transaction() as session:
        row = await queries.lock_cutoff(session, cutoff_id)
        if row is None or row.effective_at is not None:
            return  # another replica was first
        row.effective_at = effective_at
        now = runtime.clock.now()
        event = CutoffEffective(
            cutoff_id=row.id,
            subject=row.subject,
            reason=row.reason,
            cause=row.cause,
            at=row.at,
            effective_at=effective_at,
            points=outcome.points,
            silent=outcome.silent,
        )
        outbox.add(session, event, at=now)
        order = await lock_order_of_cutoff(session, row.id)
        if order and order.confirmed_at is None:
            order.confirmed_at = now
            applied = ContainmentApplied(
                order_id=order.order_id, known=True, effective_at=effective_at, points=outcome.points
            )
            outbox.add(session, applied, at=now)
