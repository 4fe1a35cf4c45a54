"""The one writer of the log: what has gathered becomes leaves, tiles and a signed checkpoint in one transaction."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge, Histogram
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from audit.log import integrity
from audit.log.batching import Batch, Sifted, sift
from audit.log.entries import Arrival, Rejection
from audit.log.rejections import Kind, note_rejected, record_rejections
from audit.problems import LogBroken, LogNotOpen
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

__all__ = ["Sequencer", "keep_open"]

log = structlog.get_logger()

MOST = 2_000
"""Messages of one transaction, unless one delivery alone has more."""
REOPEN_EVERY = 1.0
"""Seconds between attempts to open the log while the database is away."""
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
BROKEN = Gauge("xindun_audit_log_broken", "1 while the log is not what was signed")
SECONDS = Histogram(
    "xindun_audit_commit_seconds",
    "Transactions of the sequencer",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)

Heard = Callable[[str, int], None]
"""Told of a sign of a producer once it is durable: its source, and the number."""


@dataclass(slots=True, eq=False)
class _Delivery:
    batch: Batch
    settled: bool = False
    error: Exception | None = None


class Sequencer:
    """Takes deliveries of the bus, as many at once as come, and commits them one batch after the other.

    Any number of processes may run one: an advisory lock lets one batch in at a time. What is stored is checked against
    the signed checkpoint before each append, and a log that does not hold is never appended to until the next start.
    """

    def __init__(self, database: Database, clock: Clock, signer: Signer, *, heard: Heard, beat: Heard) -> None:
        self._database, self._clock, self._signer = database, clock, signer
        self._heard, self._beat = heard, beat
        self._waiting: deque[_Delivery] = deque()
        self._turn = asyncio.Lock()
        self._open = False
        self._broken: LogBroken | None = None
        self._known = 0

    async def open(self) -> None:
        """Check the log, or begin it with a checkpoint of the empty tree; done once. Raises `LogBroken`, `Unavailable`."""
        async with self._turn:
            await self._opened()

    def intact(self) -> bool:
        """Whether the log was checked and stands."""
        return self._open and not self._broken

    def require_intact(self) -> None:
        """Raise `LogBroken` or `LogNotOpen`: nothing is proved by a log that could not be checked."""
        if self._broken:
            raise self._refusal(self._broken)
        if not self._open:
            raise LogNotOpen

    async def deliver(self, messages: Sequence[Message]) -> None:
        """Return when each message is a leaf, was one, or is on record as rejected.

        Raises `Unavailable` when the database is away and `LogBroken` when the log does not hold: nothing of it is lost,
        the bus shows the messages again.
        """
        # Read here and not in the transaction: this goes on while PostgreSQL works on the batch before.
        mine = _Delivery(Batch.of(messages))
        self._waiting.append(mine)
        try:
            async with self._turn:
                while not mine.settled:
                    await self._commit_gathered()
        finally:
            if not mine.settled:  # cancelled while waiting
                self._waiting.remove(mine)
        if mine.error:
            raise mine.error

    async def _commit_gathered(self) -> None:
        gathered, count = [self._waiting[0]], len(self._waiting[0].batch)
        for delivery in list(self._waiting)[1:]:
            count += len(delivery.batch)
            if count > MOST:
                break
            gathered.append(delivery)
        try:
            await self._commit(Batch.joined([delivery.batch for delivery in gathered]))
        except Unavailable as error:
            self._settle(gathered, error)
        except Exception as error:
            if len(gathered) == 1:
                log.exception("sequencer.failed", error=type(error).__name__)
                self._settle(gathered, error)
            else:
                # One delivery that cannot be committed must not stop the others: each by itself.
                for delivery in gathered:
                    await self._commit_alone(delivery)
        else:
            self._settle(gathered, None)

    async def _commit_alone(self, delivery: _Delivery) -> None:
        try:
            await self._commit(delivery.batch)
        except Exception as error:  # noqa: BLE001 - told to whom it concerns
            self._settle([delivery], error)
        else:
            self._settle([delivery], None)

    def _settle(self, gathered: Sequence[_Delivery], error: Exception | None) -> None:
        for delivery in gathered:
            delivery.settled, delivery.error = True, error
            self._waiting.remove(delivery)

    async def _commit(self, batch: Batch) -> None:
        if batch.arrivals or batch.rejections:
            with SECONDS.time():
                await self._append(batch)
        for source, number in batch.last_numbers().items():
            self._heard(source, number)
        for sign in batch.signs:
            self._beat(sign.source, sign.number)

    async def _append(self, batch: Batch) -> None:
        await self._opened()
        try:
            async with self._database.transaction() as session:
                tree = await self._locked(session)
                sifted = await self._sift(session, batch.arrivals)
                rejected = await self._reject(session, [*batch.rejections, *sifted.rejections])
                if sifted.fresh:
                    await self._grow(session, tree, sifted.fresh)
        except LogBroken as error:
            await self._break(error)
            raise
        self._known = tree.size + len(sifted.fresh)
        SIZE.set(self._known)
        LEAVES.inc(len(sifted.fresh))
        REPEATED.inc(sifted.repeated)
        note_rejected(rejected)

    async def _opened(self) -> None:
        if self._broken:
            raise self._refusal(self._broken)
        if self._open:
            return
        try:
            async with self._database.transaction() as session:
                await self._lock(session)
                tree = await integrity.check_edge(session, self._signer.verifier)
                if tree is None:
                    await self._sign(session, 0, EMPTY_ROOT, self._clock.now())
                else:
                    await integrity.check_last_leaves(session, tree.size)
        except LogBroken as error:
            await self._break(error)
            raise
        self._open, self._known = True, tree.size if tree else 0
        BROKEN.set(0)
        SIZE.set(self._known)

    @staticmethod
    def _refusal(broken: LogBroken) -> LogBroken:
        """Return a new exception of the same words: one instance raised again and again would pile up tracebacks."""
        return LogBroken(broken.detail_zh, broken.detail_en, **broken.extra)

    async def _break(self, error: LogBroken) -> None:
        """Close the log until the next start, and say so (P10)."""
        self._broken, self._open = error, False
        BROKEN.set(1)
        log.error("log.broken", detail=error.detail_en)
        now = self._clock.now()
        try:
            async with self._database.transaction() as session:
                detail = error.detail_en or error.slug
                outbox.add(session, IntegrityBroken(log=self._signer.name, detail=detail, found_at=now), at=now)
        except Unavailable:
            log.warning("log.broken_not_told")

    @staticmethod
    async def _lock(session: AsyncSession) -> None:
        await session.execute(text("SELECT pg_advisory_xact_lock(hashtext('xindun.audit.log'))"))

    async def _locked(self, session: AsyncSession) -> integrity.Tree:
        await self._lock(session)
        tree = await integrity.check_edge(session, self._signer.verifier)
        if tree is None or tree.size < self._known:
            raise LogBroken(f"日志曾有 {self._known} 条", f"the log had {self._known} entries before")
        return tree

    @staticmethod
    async def _sift(session: AsyncSession, arrivals: Sequence[Arrival]) -> Sifted:
        return await sift(session, arrivals) if arrivals else Sifted()

    async def _reject(self, session: AsyncSession, rejections: Sequence[Rejection]) -> dict[Kind, int]:
        return await record_rejections(session, rejections, self._clock.now())

    async def _grow(self, session: AsyncSession, tree: integrity.Tree, fresh: Sequence[Arrival]) -> None:
        now = self._clock.now()
        frontier, tiles = grow(tree.size, [arrival.hash for arrival in fresh], tree.edge.__getitem__)
        driver = await driver_connection(session)
        await driver.copy_records_to_table(
            "leaves",
            records=[arrival.row(index, now) for index, arrival in enumerate(fresh, tree.size)],
            columns=COLUMNS,
        )
        await driver.copy_records_to_table(
            "tiles", records=_tile_rows(tiles), columns=("level", "index", "width", "data")
        )
        await self._sign(session, frontier.size, frontier.root(), now)

    async def _sign(self, session: AsyncSession, size: int, root: bytes, now: datetime) -> None:
        note = sign_checkpoint(Checkpoint(self._signer.name, size, root), self._signer)
        await session.execute(
            text("INSERT INTO checkpoints (size, root, note, signed_at) VALUES (:size, :root, :note, :at)"),
            {"size": size, "root": root, "note": note, "at": now},
        )


def _tile_rows(tiles: dict[Tile, bytes]) -> list[tuple[int, int, int, bytes]]:
    return [(tile.level, tile.index, tile.width, data) for tile, data in tiles.items()]


async def keep_open(runtime: "Runtime") -> None:
    """Open the log as soon as the database is there, then rest until cancelled; a broken one stays closed."""
    sequencer: Sequencer = runtime.sequencer
    while True:
        try:
            await sequencer.open()
        except LogBroken:
            pass
        except Unavailable:
            log.warning("log.not_open")
            await asyncio.sleep(REOPEN_EVERY)
            continue
        await asyncio.Event().wait()
