"""The one writer of the log: each batch becomes leaves, tiles and a signed checkpoint in one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import integrity, queries
from audit.log.batching import Batch, deduplicate
from audit.log.entries import LogEntry
from audit.log.models import SignedCheckpoint
from audit.log.problems import LogBroken, LogNotOpen
from audit.log.rejections import record_rejections, report_rejections
from audit.tlog.merkle import EMPTY_ROOT
from audit.tlog.signed_notes import Checkpoint, Signer, sign_checkpoint
from audit.tlog.tiles import Tile, grow
from common.clock import Clock
from common.contracts.events.audit import IntegrityBroken
from common.messaging import outbox
from common.messaging.bus import Message
from common.problems import Unavailable
from common.storage.database import Database, driver_connection

if TYPE_CHECKING:
    from audit.runtime import Runtime


log = structlog.get_logger()

MAX_BATCH_MESSAGES = 2_000
"""Limit of one transaction, unless a single delivery has more."""
REOPEN_INTERVAL_SECONDS = 1.0
"""Interval of attempts to open the log while the database is away."""
COLUMNS = (
    "index",
    "message_id",
    "source",
    "sequence",
    "type",
    "subject",
    "time",
    "actor",
    "requestid",
    "logged_at",
    "body",
)

LEAVES = Counter("xindun_audit_leaves_total", "Events that became leaves of the log")
REPEATED = Counter("xindun_audit_repeated_total", "Events that were in the log already")
SIZE = Gauge("xindun_audit_log_size", "Leaves of the log")
BROKEN = Gauge("xindun_audit_log_broken", "1 while the stored log differs from the signed one")
SECONDS = Histogram(
    "xindun_audit_commit_seconds",
    "Transactions of the sequencer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)

OnProducerSeen = Callable[[str, int], None]
"""Called with source and number when an event or heartbeat of a producer is durable."""


@dataclass(slots=True, eq=False)
class _Delivery:
    batch: Batch
    settled: bool = False
    error: Exception | None = None


class Sequencer:
    """Accepts concurrent deliveries of the bus and commits them batch by batch.

    Any number of processes may run one: an advisory lock admits one batch at a time. Each append first checks the stored
    log against the signed checkpoint; a broken log is not appended to until the next start.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        signer: Signer,
        *,
        on_event: OnProducerSeen,
        on_heartbeat: OnProducerSeen,
    ) -> None:
        self._database, self._clock, self._signer = database, clock, signer
        self._on_event, self._on_heartbeat = on_event, on_heartbeat
        self._waiting: deque[_Delivery] = deque()
        self._turn = asyncio.Lock()
        self._open = False
        self._broken: LogBroken | None = None
        self._last_size = 0

    async def open(self) -> None:
        """Check the log once, or create it with a checkpoint of the empty tree. Raises `LogBroken`, `Unavailable`."""
        async with self._turn:
            await self._ensure_open()

    def intact(self) -> bool:
        """Whether the log was checked and found intact."""
        return self._open and not self._broken

    def require_intact(self) -> None:
        """Raise `LogBroken` or `LogNotOpen`: an unchecked log proves nothing."""
        if self._broken:
            raise self._same_problem(self._broken)
        if not self._open:
            raise LogNotOpen

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Return when each message is a leaf or recorded as rejected.

        Raises `Unavailable` while the database is away and `LogBroken` for a broken log: the bus then delivers the
        messages again.
        """
        # Classified outside of the transaction, while PostgreSQL works on the previous batch.
        mine = _Delivery(Batch.of(messages))
        self._waiting.append(mine)
        try:
            async with self._turn:
                while not mine.settled:
                    await self._commit_waiting()
        finally:
            if not mine.settled:  # cancelled while waiting
                self._waiting.remove(mine)
        if mine.error:
            raise mine.error

    async def _commit_waiting(self) -> None:
        gathered, count = [self._waiting[0]], len(self._waiting[0].batch)
        for delivery in list(self._waiting)[1:]:
            count += len(delivery.batch)
            if count > MAX_BATCH_MESSAGES:
                break
            gathered.append(delivery)
        try:
            await self._commit(Batch.merge([delivery.batch for delivery in gathered]))
        except Unavailable as error:
            self._settle(gathered, error)
        except Exception as error:
            if len(gathered) == 1:
                log.exception("sequencer.failed", error=type(error).__name__)
                self._settle(gathered, error)
            else:
                # One delivery that cannot be committed must not stop the others: commit each alone.
                for delivery in gathered:
                    await self._commit_alone(delivery)
        else:
            self._settle(gathered, None)

    async def _commit_alone(self, delivery: _Delivery) -> None:
        try:
            await self._commit(delivery.batch)
        except Exception as error:  # noqa: BLE001 - raised in `deliver`
            self._settle([delivery], error)
        else:
            self._settle([delivery], None)

    def _settle(self, gathered: Sequence[_Delivery], error: Exception | None) -> None:
        for delivery in gathered:
            delivery.settled, delivery.error = True, error
            self._waiting.remove(delivery)

    async def _commit(self, batch: Batch) -> None:
        if batch.entries or batch.rejections:
            with SECONDS.time():
                await self._append(batch)
        for source, number in batch.last_numbers().items():
            self._on_event(source, number)
        for heartbeat in batch.heartbeats:
            self._on_heartbeat(heartbeat.source, heartbeat.number)

    async def _append(self, batch: Batch) -> None:
        await self._ensure_open()
        try:
            async with self._database.transaction() as session:
                tree = await self._lock_and_check(session)
                entries = await deduplicate(session, batch.entries)
                rejected = await record_rejections(session, [*batch.rejections, *entries.rejections], self._clock.now())
                if entries.fresh:
                    await self._grow(session, tree, entries.fresh)
        except LogBroken as error:
            await self._close_broken(error)
            raise
        self._last_size = tree.size + len(entries.fresh)
        SIZE.set(self._last_size)
        LEAVES.inc(len(entries.fresh))
        REPEATED.inc(entries.repeated)
        report_rejections(rejected)

    async def _ensure_open(self) -> None:
        if self._broken:
            raise self._same_problem(self._broken)
        if self._open:
            return
        try:
            async with self._database.transaction() as session:
                await queries.lock_log(session)
                tree = await integrity.check_edge(session, self._signer.verifier)
                if tree is None:
                    await self._sign(session, 0, EMPTY_ROOT, self._clock.now())
                else:
                    await integrity.check_last_leaves(session, tree.size)
        except LogBroken as error:
            await self._close_broken(error)
            raise
        self._open, self._last_size = True, tree.size if tree else 0
        BROKEN.set(0)
        SIZE.set(self._last_size)

    @staticmethod
    def _same_problem(broken: LogBroken) -> LogBroken:
        """Return a new exception with the same details: one instance raised repeatedly would accumulate tracebacks."""
        return LogBroken(broken.detail_zh, broken.detail_en, **broken.extra)

    async def _close_broken(self, error: LogBroken) -> None:
        """Close the log until the next start, with an event, a metric and a log line (P10)."""
        self._broken, self._open = error, False
        BROKEN.set(1)
        log.error("log.broken", detail=error.detail_en)
        now = self._clock.now()
        try:
            async with self._database.transaction() as session:
                detail = error.detail_en or error.slug
                outbox.add(session, IntegrityBroken(log=self._signer.name, detail=detail, found_at=now), at=now)
        except Unavailable:
            log.warning("log.broken_not_published")

    async def _lock_and_check(self, session: AsyncSession) -> integrity.Tree:
        await queries.lock_log(session)
        tree = await integrity.check_edge(session, self._signer.verifier)
        if tree is None or tree.size < self._last_size:
            raise LogBroken(f"日志曾有 {self._last_size} 条", f"the log had {self._last_size} entries before")
        return tree

    async def _grow(self, session: AsyncSession, tree: integrity.Tree, fresh: Sequence[LogEntry]) -> None:
        now = self._clock.now()
        frontier, tiles = grow(tree.size, [entry.hash for entry in fresh], tree.edge.__getitem__)
        driver = await driver_connection(session)
        await driver.copy_records_to_table(
            "leaves",
            records=[entry.row(index, now) for index, entry in enumerate(fresh, tree.size)],
            columns=COLUMNS,
        )
        await driver.copy_records_to_table(
            "tiles", records=_tile_rows(tiles), columns=("level", "index", "width", "data")
        )
        await self._sign(session, frontier.size, frontier.root(), now)

    async def _sign(self, session: AsyncSession, size: int, root: bytes, now: datetime) -> None:
        note = sign_checkpoint(Checkpoint(self._signer.name, size, root), self._signer)
        session.add(SignedCheckpoint(size=size, root=root, note=note, signed_at=now))
        await session.flush()


def _tile_rows(tiles: dict[Tile, bytes]) -> list[tuple[int, int, int, bytes]]:
    return [(tile.level, tile.index, tile.width, data) for tile, data in tiles.items()]


async def open_log(runtime: "Runtime") -> None:
    """Open the log once the database is reachable, then wait until cancelled; a broken log stays closed."""
    while True:
        try:
            await runtime.sequencer.open()
        except LogBroken:
            pass
        except Unavailable:
            log.warning("log.not_open")
            await asyncio.sleep(REOPEN_INTERVAL_SECONDS)
            continue
        await asyncio.Event().wait()
