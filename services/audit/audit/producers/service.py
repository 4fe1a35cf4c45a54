"""Watches over the producers: what number is missing for too long, and who says nothing any more."""

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.producers import queries
from audit.producers.models import Watermark
from common import outbox
from common.clock import Clock
from common.context import ActContext, act
from common.database import Database
from common.events.audit import GapFound, ProducerSilent
from common.problems import Unavailable
from common.runtime import Runtime

__all__ = ["EXPECTED", "Producers", "watch_producers"]

log = structlog.get_logger()

EXPECTED = ("/identity", "/datashare", "/incident", "/audit")
"""Producers that beat as long as they live; another one is expected to from its first beat on."""
LOOK_EVERY = 5.0
"""Seconds."""
MARK_EVERY = 10_000
"""Numbers between two stored watermarks: what a start has to look through at most."""

SILENT = Gauge("xindun_audit_silent_producers", "Producers that said nothing for longer than their term")
GAPS = Gauge("xindun_audit_pending_gaps", "Ranges of numbers that are missing and not yet given up")


@dataclass(slots=True)
class Heard:
    """What is known of one producer: its highest number, whether it beats, whether it was told to be silent.

    `at` is when it was last heard, or when its term began; `live` says that this process heard it.
    """

    at: datetime
    number: int
    beats: bool
    silent: bool = False
    live: bool = False


class Producers:
    """What this process heard, and what `look` made of it. Numbers that are missing are looked up in the log itself."""

    def __init__(self, database: Database, clock: Clock, *, silence: timedelta, patience: timedelta) -> None:
        self._database, self._clock, self._silence, self._patience = database, clock, silence, patience
        self._whole: dict[str, int] = {}
        self._marked: dict[str, int] = {}
        self._noticed: dict[tuple[str, int], datetime] = {}
        self._loaded = False
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self.pending: dict[str, list[tuple[int, int]]] = {}
        """Ranges that are missing and may only be late, by source."""
        begun = clock.now()
        self.heard = {source: Heard(begun, 0, beats=True) for source in EXPECTED}

    def hear(self, source: str, number: int) -> None:
        """Take note of an event that is in the log."""
        now = self._clock.now()
        known = self.heard.setdefault(source, Heard(now, 0, beats=False))
        known.at, known.number = now, max(known.number, number)
        known.silent, known.live = False, True
        self._news.set()

    def hear_beat(self, source: str, number: int) -> None:
        """Take note of a heartbeat: `number` was the producer's last, and it will beat again."""
        self.hear(source, number)
        self.heard[source].beats = True

    def is_silent(self, source: str, now: datetime) -> bool:
        """Whether a producer that is expected to beat has not been heard for its term."""
        known = self.heard[source]
        return known.beats and now - known.at > self._silence

    async def look(self) -> None:
        """Look once; what is found is told in the transaction that records it. Raises `Unavailable`."""
        async with self._turn:
            await self._look(self._clock.now())

    async def settle(self, term: float) -> None:
        """Return when no number is missing that may only be late, or after `term` seconds. Raises `Unavailable`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(term):
                while True:
                    self._news.clear()
                    await self.look()
                    if not self.pending:
                        return
                    await self._news.wait()

    async def _look(self, now: datetime) -> None:
        await self._load()
        silent = [source for source in self.heard if self.is_silent(source, now)]
        news = [source for source in silent if not self.heard[source].silent]
        pending: dict[str, list[tuple[int, int]]] = {}
        whole: dict[str, int] = {}
        async with self._database.transaction() as session:
            for source in news:
                at = self.heard[source].at
                outbox.add(session, ProducerSilent(producer=source, last_heard_at=at), at=now)
            for source, known in list(self.heard.items()):
                if known.number > self._whole.get(source, 0):
                    pending[source], whole[source] = await self._look_at(session, source, known.number, now)
        for source in news:
            self.heard[source].silent = True
            log.warning("producer.silent", producer=source)
        self._whole |= whole
        self.pending = {source: ranges for source, ranges in (self.pending | pending).items() if ranges}
        still = {(source, after) for source, ranges in self.pending.items() for after, _ in ranges}
        self._noticed = {key: at for key, at in self._noticed.items() if key in still}
        SILENT.set(len(silent))
        GAPS.set(len(still))

    async def _load(self) -> None:
        """Know the producers of earlier runs: their numbers may have gaps that nobody has told of."""
        if self._loaded:
            return
        after = ""
        async with self._database.transaction() as session:
            while page := await queries.list_producers(session, after, 1_000):
                for producer in page:
                    known = self.heard.setdefault(producer.source, Heard(producer.logged_at, 0, beats=False))
                    known.number = max(known.number, producer.last)
                after = page[-1].source
        self._loaded = True

    async def _look_at(
        self, session: AsyncSession, source: str, last: int, now: datetime
    ) -> tuple[list[tuple[int, int]], int]:
        """Return the ranges that may still come, and up to which number all is accounted for."""
        if source not in self._whole:
            self._whole[source] = self._marked[source] = await queries.watermark(session, source)
        ranges = await queries.missing(session, source, self._whole[source], last)
        if len(ranges) == queries.MOST_RANGES:
            last = ranges[-1][1] - 1
        late = []
        for after, before in ranges:
            noticed = self._noticed.setdefault((source, after), now)
            if now - noticed < self._patience:
                late.append((after, before))
            elif await self._record(session, source, after, before, now):
                found = GapFound(producer=source, after=after, before=before, found_at=now)
                outbox.add(session, found, at=now)
                log.warning("gap.found", producer=source, after=after, before=before)
        whole = late[0][0] if late else last
        if whole >= self._marked.get(source, 0) + MARK_EVERY:
            session.add(Watermark(source=source, number=whole, at=now))
            self._marked[source] = whole
        return late, whole

    @staticmethod
    async def _record(session: AsyncSession, source: str, after: int, before: int, now: datetime) -> bool:
        """Record a gap; False when another process did."""
        inserted = await session.scalar(
            text("""
                INSERT INTO gaps (source, after, before, found_at) VALUES (:source, :after, :before, :at)
                ON CONFLICT DO NOTHING RETURNING after"""),
            {"source": source, "after": after, "before": before, "at": now},
        )
        return inserted is not None


async def watch_producers(runtime: Runtime) -> None:
    """Look again and again, until cancelled."""
    producers: Producers = runtime.parts["producers"]
    act(ActContext(actor=f"service:{runtime.service}"))
    while True:
        try:
            await producers.look()
        except Unavailable:
            log.warning("producers.not_looked")
        await asyncio.sleep(LOOK_EVERY)
