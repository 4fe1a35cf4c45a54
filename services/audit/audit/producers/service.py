"""Monitors the producers: numbers that are missing for too long, and producers that are silent."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge
from sqlalchemy.ext.asyncio import AsyncSession

from audit.producers import queries
from audit.producers.models import Watermark
from audit.producers.queries import LastSeen, Span
from common.clock import Clock
from common.context import ActContext, set_context
from common.contracts.events.audit import GapFound, ProducerSilent
from common.messaging import outbox
from common.problems import Unavailable
from common.storage.database import Database

if TYPE_CHECKING:
    from audit.runtime import Runtime


log = structlog.get_logger()

EXPECTED_PRODUCERS = ("/identity", "/datashare", "/incident", "/audit")
"""Producers that send heartbeats from their start; any other is expected to from its first heartbeat on."""
SCAN_INTERVAL_SECONDS = 5.0
"""Also the maximum age of one replica's knowledge of messages at another."""
SHARED_WINDOW = timedelta(hours=1)
"""Producers without heartbeats are taken from other replicas if seen within this window."""
WATERMARK_INTERVAL = 10_000
"""Numbers between two stored watermarks: the most that a start has to scan."""

SILENT_PRODUCERS = Gauge("xindun_audit_silent_producers", "Producers that said nothing for longer than their term")
PENDING_GAPS = Gauge("xindun_audit_pending_gaps", "Ranges of numbers that are missing and not yet given up")


class Producers:
    """The last messages of the producers, and the results of `scan`, which finds missing numbers in the log itself.

    A replica of audit receives only the messages of its partitions. So all replicas share through the database: each scan
    stores the messages since the last scan, and evaluates those of all replicas.
    """

    def __init__(self, database: Database, clock: Clock, *, silence_term: timedelta, gap_patience: timedelta) -> None:
        self._database, self._clock = database, clock
        self._silence_term, self._gap_patience = silence_term, gap_patience
        self._contiguous_up_to: dict[str, int] = {}
        self._persisted_watermark: dict[str, int] = {}
        self._noticed: dict[tuple[str, int], datetime] = {}
        self._loaded = False
        self._turn = asyncio.Lock()
        self._connected_since = clock.now()
        self._unshared: dict[str, LastSeen] = {}
        self.last_seen: dict[str, LastSeen] = {}
        """By source, of all replicas."""
        self.pending: dict[str, list[tuple[int, int]]] = {}
        """Missing ranges that may only be late, by source."""

    def record_event(self, source: str, number: int) -> None:
        """Record a committed event."""
        self._record_seen(source, number, sends_heartbeats=False)

    def record_heartbeat(self, source: str, number: int) -> None:
        """Record a heartbeat: `number` was the producer's last, and further heartbeats are expected."""
        self._record_seen(source, number, sends_heartbeats=True)

    def _record_seen(self, source: str, number: int, *, sends_heartbeats: bool) -> None:
        now = self._clock.now()
        seen = LastSeen(source, number, sends_heartbeats, now, now)
        for known in (self.last_seen, self._unshared):
            known[source] = seen.merge(known.get(source))

    def mark_disconnected(self) -> None:
        """Restart the terms of silence and gaps: while the bus delivers nothing, missing messages prove nothing."""
        self._connected_since = self._clock.now()

    def silent(self, now: datetime) -> set[str]:
        """Return the producers whose heartbeats are missing for longer than the term.

        Of the starts of one instance only the latest is expected to send any.
        """
        latest: dict[str, LastSeen] = {}
        for state in self.last_seen.values():
            other = latest.setdefault(_instance(state.source), state)
            if state.since > other.since:
                latest[_instance(state.source)] = state
        return {
            state.source
            for state in latest.values()
            if state.sends_heartbeats and now - max(state.since, self._connected_since) > self._silence_term
        }

    async def scan(self) -> None:
        """Scan once; findings are recorded and published in one transaction. Raises `Unavailable`."""
        async with self._turn:
            await self._scan(self._clock.now())

    async def _scan(self, now: datetime) -> None:
        await self._load()
        pending: dict[str, list[tuple[int, int]]] = {}
        contiguous: dict[str, int] = {}
        mine = dict(self._unshared)
        async with self._database.transaction() as session:
            for state in await queries.share_last_seen(session, list(mine.values()), now - SHARED_WINDOW):
                self.last_seen[state.source] = state.merge(self.last_seen.get(state.source))
            silent = self.silent(now)
            for source in sorted(silent):
                await self._publish_silence(session, self.last_seen[source], now)
            for source, known in list(self.last_seen.items()):
                if known.number > self._contiguous_up_to.get(source, 0):
                    pending[source], contiguous[source] = await self._scan_producer(session, source, known.number, now)
        self._unshared = {source: state for source, state in self._unshared.items() if mine.get(source) is not state}
        self._contiguous_up_to |= contiguous
        self.pending = {source: ranges for source, ranges in (self.pending | pending).items() if ranges}
        still = {(source, after) for source, ranges in self.pending.items() for after, _ in ranges}
        self._noticed = {key: at for key, at in self._noticed.items() if key in still}
        SILENT_PRODUCERS.set(len(silent))
        PENDING_GAPS.set(len(still))

    @staticmethod
    async def _publish_silence(session: AsyncSession, state: LastSeen, now: datetime) -> None:
        """Record and publish a silence, unless this or another replica did."""
        if await queries.insert_silence(session, state.source, state.since, now):
            outbox.add(session, ProducerSilent(producer=state.source, last_heard_at=state.since), at=now)
            log.warning("producer.silent", producer=state.source)

    async def _load(self) -> None:
        """Load the producers of earlier runs: their numbers may have unrecorded gaps."""
        if self._loaded:
            return
        after = ""
        async with self._database.transaction() as session:
            await queries.expect_producers(session, EXPECTED_PRODUCERS, self._connected_since)
            while page := await queries.list_producers(session, after, 1_000):
                for producer in page:
                    known = LastSeen(producer.source, producer.last, False, producer.logged_at, None)  # noqa: FBT003
                    self.last_seen[producer.source] = known.merge(self.last_seen.get(producer.source))
                after = page[-1].source
        self._loaded = True

    async def _scan_producer(
        self, session: AsyncSession, source: str, last: int, now: datetime
    ) -> tuple[list[tuple[int, int]], int]:
        """Return the ranges that may still arrive, and the number up to which all numbers are accounted for."""
        if source not in self._contiguous_up_to:
            self._contiguous_up_to[source] = self._persisted_watermark[source] = await queries.get_watermark(
                session, source
            )
        ranges = await queries.list_missing(session, [Span(source, self._contiguous_up_to[source], last)])
        if len(ranges) == queries.MAX_MISSING_RANGES:
            last = ranges[-1].before - 1
        late = []
        for _, after, before in ranges:
            noticed = self._noticed.setdefault((source, after), now)
            if now - max(noticed, self._connected_since) < self._gap_patience:
                late.append((after, before))
            elif await queries.insert_gap(session, source, after, before, now):
                found = GapFound(producer=source, after=after, before=before, found_at=now)
                outbox.add(session, found, at=now)
                log.warning("gap.found", producer=source, after=after, before=before)
        contiguous = late[0][0] if late else last
        if contiguous >= self._persisted_watermark.get(source, 0) + WATERMARK_INTERVAL:
            session.add(Watermark(source=source, number=contiguous, at=now))
            self._persisted_watermark[source] = contiguous
        return late, contiguous


def _instance(source: str) -> str:
    """Return `/<service>/<instance>` of `/<service>/<instance>/<start>`, and any other source whole."""
    return source.rpartition("/")[0] if source.count("/") > 2 else source  # noqa: PLR2004 - three parts, a slash each


async def watch_producers(runtime: "Runtime") -> None:
    """Scan periodically until cancelled."""
    producers = runtime.producers
    set_context(ActContext(actor=f"service:{runtime.service}"))
    while True:
        if not runtime.bus.healthy():
            producers.mark_disconnected()
        try:
            await producers.scan()
        except Unavailable:
            log.warning("producers.not_scanned")
        await asyncio.sleep(SCAN_INTERVAL_SECONDS)
