"""Watches over the producers: what number is missing for too long, and who says nothing any more."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Gauge
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from audit.producers import queries
from audit.producers.models import Silence, Watermark
from audit.producers.queries import Heard, Span
from common.clock import Clock
from common.context import ActContext, set_context
from common.contracts.events.audit import GapFound, ProducerSilent
from common.messaging import outbox
from common.problems import Unavailable
from common.storage.database import Database

if TYPE_CHECKING:
    from audit.runtime import Runtime

__all__ = ["EXPECTED", "Producers", "watch_producers"]

log = structlog.get_logger()

EXPECTED = ("/identity", "/datashare", "/incident", "/audit")
"""Producers that beat as long as they live; another one is expected to from its first beat on."""
LOOK_EVERY = 5.0
"""Seconds; so old may be what one replica knows of what another heard."""
REMEMBERED = timedelta(hours=1)
"""How far back signs of producers that do not beat are taken up from other replicas."""
MARK_EVERY = 10_000
"""Numbers between two stored watermarks: what a start has to look through at most."""

SILENT = Gauge("xindun_audit_silent_producers", "Producers that said nothing for longer than their term")
GAPS = Gauge("xindun_audit_pending_gaps", "Ranges of numbers that are missing and not yet given up")


class Producers:
    """What is known of the producers, and what `look` made of it. Numbers that are missing are looked up in the log itself.

    A replica of audit hears only what comes on its partitions, so all share what they hear through the database: each
    look stores what was heard here since the last one, and judges by what all have stored.
    """

    def __init__(self, database: Database, clock: Clock, *, silence: timedelta, patience: timedelta) -> None:
        self._database, self._clock, self._silence, self._patience = database, clock, silence, patience
        self._whole: dict[str, int] = {}
        self._marked: dict[str, int] = {}
        self._noticed: dict[tuple[str, int], datetime] = {}
        self._loaded = False
        self._turn = asyncio.Lock()
        self._listening_from = clock.now()
        self._unshared: dict[str, Heard] = {}
        self.heard: dict[str, Heard] = {}
        """By source, whoever heard it."""
        self.pending: dict[str, list[tuple[int, int]]] = {}
        """Ranges that are missing and may only be late, by source."""

    def hear(self, source: str, number: int) -> None:
        """Take note of an event that is in the log."""
        self._note(source, number, beats=False)

    def hear_beat(self, source: str, number: int) -> None:
        """Take note of a heartbeat: `number` was the producer's last, and it will beat again."""
        self._note(source, number, beats=True)

    def _note(self, source: str, number: int, *, beats: bool) -> None:
        now = self._clock.now()
        sign = Heard(source, number, beats, now, now)
        for known in (self.heard, self._unshared):
            known[source] = sign.joined(known.get(source))

    def deaf(self) -> None:
        """Take note that the bus gives nothing now: a producer's silence cannot be told from our own deafness.

        Nor can a number come that is missing.
        """
        self._listening_from = self._clock.now()

    def silent(self, now: datetime) -> set[str]:
        """Return the producers that nobody has heard for their term, although they beat.

        Of the starts of one instance only the latest is expected to: the others have ended.
        """
        latest: dict[str, Heard] = {}
        for heard in self.heard.values():
            other = latest.setdefault(_instance(heard.source), heard)
            if heard.since > other.since:
                latest[_instance(heard.source)] = heard
        return {
            heard.source
            for heard in latest.values()
            if heard.beats and now - max(heard.since, self._listening_from) > self._silence
        }

    async def look(self) -> None:
        """Look once; what is found is told in the transaction that records it. Raises `Unavailable`."""
        async with self._turn:
            await self._look(self._clock.now())

    async def _look(self, now: datetime) -> None:
        await self._load()
        pending: dict[str, list[tuple[int, int]]] = {}
        whole: dict[str, int] = {}
        mine = dict(self._unshared)
        async with self._database.transaction() as session:
            for heard in await queries.share_signs(session, list(mine.values()), now - REMEMBERED):
                self.heard[heard.source] = heard.joined(self.heard.get(heard.source))
            silent = self.silent(now)
            for source in sorted(silent):
                await self._tell_silence(session, self.heard[source], now)
            for source, known in list(self.heard.items()):
                if known.number > self._whole.get(source, 0):
                    pending[source], whole[source] = await self._look_at(session, source, known.number, now)
        self._unshared = {source: heard for source, heard in self._unshared.items() if mine.get(source) is not heard}
        self._whole |= whole
        self.pending = {source: ranges for source, ranges in (self.pending | pending).items() if ranges}
        still = {(source, after) for source, ranges in self.pending.items() for after, _ in ranges}
        self._noticed = {key: at for key, at in self._noticed.items() if key in still}
        SILENT.set(len(silent))
        GAPS.set(len(still))

    @staticmethod
    async def _tell_silence(session: AsyncSession, heard: Heard, now: datetime) -> None:
        """Tell of it, unless this or another replica did: once per silence."""
        recorded = insert(Silence).values(source=heard.source, last_heard_at=heard.since, found_at=now)
        if await session.scalar(recorded.on_conflict_do_nothing().returning(Silence.source)):
            outbox.add(session, ProducerSilent(producer=heard.source, last_heard_at=heard.since), at=now)
            log.warning("producer.silent", producer=heard.source)

    async def _load(self) -> None:
        """Know the producers of earlier runs: their numbers may have gaps that nobody has told of."""
        if self._loaded:
            return
        after = ""
        async with self._database.transaction() as session:
            await queries.watch_for(session, EXPECTED, self._listening_from)
            while page := await queries.list_producers(session, after, 1_000):
                for producer in page:
                    known = Heard(producer.source, producer.last, False, producer.logged_at, None)  # noqa: FBT003
                    self.heard[producer.source] = known.joined(self.heard.get(producer.source))
                after = page[-1].source
        self._loaded = True

    async def _look_at(
        self, session: AsyncSession, source: str, last: int, now: datetime
    ) -> tuple[list[tuple[int, int]], int]:
        """Return the ranges that may still come, and up to which number all is accounted for."""
        if source not in self._whole:
            self._whole[source] = self._marked[source] = await queries.watermark(session, source)
        ranges = await queries.missing(session, [Span(source, self._whole[source], last)])
        if len(ranges) == queries.MOST_RANGES:
            last = ranges[-1].before - 1
        late = []
        for _, after, before in ranges:
            noticed = self._noticed.setdefault((source, after), now)
            if now - max(noticed, self._listening_from) < self._patience:
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


def _instance(source: str) -> str:
    """Return `/<service>/<instance>` of `/<service>/<instance>/<start>`, and any other source whole."""
    return source.rpartition("/")[0] if source.count("/") > 2 else source  # noqa: PLR2004 - three parts, a slash each


async def watch_producers(runtime: "Runtime") -> None:
    """Look again and again, until cancelled."""
    producers: Producers = runtime.producers
    set_context(ActContext(actor=f"service:{runtime.service}"))
    while True:
        if not runtime.bus.healthy():
            producers.deaf()
        try:
            await producers.look()
        except Unavailable:
            log.warning("producers.not_looked")
        await asyncio.sleep(LOOK_EVERY)
