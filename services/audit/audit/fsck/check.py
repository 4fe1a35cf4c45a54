"""Recomputes the whole log from its leaves, and finds every difference between the stored and the signed log."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession

from audit.fsck import queries
from audit.log import integrity
from audit.log.entries import LogEntry, classify
from audit.log.models import Leaf
from audit.log.problems import LogBroken
from audit.log.queries import compute_with_nodes
from audit.tlog.merkle import EMPTY_ROOT, HASH_SIZE, Frontier, inclusion_proof, leaf_hash, verify_inclusion
from audit.tlog.signed_notes import Verifier
from audit.tlog.tiles import TILE_HEIGHT, TILE_WIDTH
from common.contracts.services import MEMBERS
from common.messaging.bus import Message
from common.messaging.topics import events_topic
from common.storage.database import Database

LEAVES_PER_READ = TILE_WIDTH * 4
MAX_FINDINGS = 100


@dataclass(frozen=True, slots=True)
class LogFinding:
    """One difference; `index` is the record, None for a difference in no single record."""

    index: int | None
    what: str
    zh: str
    en: str


async def check(database: Database, log: Verifier) -> tuple[int, list[LogFinding]]:
    """Return the number of signed leaves and up to `MAX_FINDINGS` differences, by record. Raises `Unavailable`."""
    async with database.transaction() as session:
        await queries.begin_snapshot(session)
        whole = _Check(session, log)
        found = []
        async for finding in whole.findings():
            found.append(finding)
            if len(found) == MAX_FINDINGS:
                break
        found.sort(key=lambda finding: (finding.index is None, finding.index or 0))
        return whole.size, found


class _Check:
    """One pass over the log; after a wrong leaf it continues with the signed hash, so that each defect is found once."""

    def __init__(self, session: AsyncSession, log: Verifier) -> None:
        self._session, self._log = session, log
        self._frontier = Frontier()
        self._rows: dict[int, list[bytes]] = {}
        self._roots: dict[int, bytes] = {}
        self._forked = False
        self._bottom: bytes | None = None
        self.size = 0

    async def findings(self) -> AsyncIterator[LogFinding]:
        """Go through the checkpoints, then the leaves with their tiles."""
        for finding in await self._checkpoints():
            yield finding
        begin = 0
        while leaves := await queries.list_leaves(self._session, begin, LEAVES_PER_READ):
            begin = leaves[-1].index + 1
            for leaf in leaves:
                for finding in await self._check_leaf(leaf):
                    yield finding
        for finding in await self._missing(self.size, "truncated"):
            yield finding
        for level in sorted(self._rows):
            for finding in await self._check_tile(level):
                yield finding
        if extra := await self._beyond():
            yield extra

    async def _checkpoints(self) -> list[LogFinding]:
        found = []
        for stored in await queries.list_checkpoints(self._session):
            try:
                checkpoint = integrity.open_signed(stored, self._log)
            except LogBroken as error:
                found.append(LogFinding(None, "checkpoint", error.detail_zh or "", error.detail_en or ""))
            else:
                self._roots[checkpoint.size] = checkpoint.root
        self.size = max(self._roots, default=0)
        if self._roots.get(0) != EMPTY_ROOT:
            zh, en = "缺少空日志的检查点", "the checkpoint of the empty log is missing"
            found.append(LogFinding(None, "checkpoint", zh, en))
        return found

    async def _check_leaf(self, leaf: Leaf) -> list[LogFinding]:
        if leaf.index >= self.size:
            return [LogFinding(leaf.index, "inserted", "没有检查点包含它", "no checkpoint has it")]
        found = await self._missing(leaf.index, "deleted")
        return [*found, *await self._append(leaf), *_columns(leaf)]

    async def _missing(self, end: int, what: str) -> list[LogFinding]:
        """Skip missing leaves, up to `end`."""
        first = self._frontier.size
        if first >= end:
            return []
        found = [LogFinding(first, what, f"至第 {end - 1} 条都不在了", f"up to {end - 1} they are gone")]
        while self._frontier.size < end:
            found += await self._append(None)
        return found

    async def _append(self, leaf: Leaf | None) -> list[LogFinding]:
        """Add the next leaf, None for a missing one, and check the tiles and the checkpoint that it completes."""
        index, found = self._frontier.size, []
        logged = await self._logged_hash(index)
        own = leaf_hash(leaf.body) if leaf else None
        taken = own or logged or bytes(HASH_SIZE)
        if own is not None and logged is not None and own != logged and not await self._is_signed(index, own):
            taken = logged
            other = await queries.find_leaf_hash(self._session, own)
            if other is None:
                found.append(LogFinding(index, "altered", "内容不是当时记录的", "its content is not what was logged"))
            else:
                found.append(LogFinding(index, "reordered", f"里面是第 {other} 条", f"it holds entry {other}"))
        for node in self._frontier.append(taken):
            if node.level % TILE_HEIGHT == 0:
                level = node.level // TILE_HEIGHT
                self._rows.setdefault(level, []).append(node.hash)
                if len(self._rows[level]) == TILE_WIDTH:
                    found += await self._check_tile(level)
        size = self._frontier.size
        if not self._forked and self._roots.get(size, b"") not in (b"", self._frontier.root()):
            self._forked = True
            found.append(
                LogFinding(index, "forked", f"与检查点 {size} 不符", f"it is not what checkpoint {size} signs")
            )
        return found

    async def _is_signed(self, index: int, own: bytes) -> bool:
        """Whether the newest checkpoint has this hash at `index`: then the tile was changed, not the leaf."""
        try:
            proof = await compute_with_nodes(self._session, self.size, partial(inclusion_proof, index, self.size))
        except LogBroken:
            return False
        return verify_inclusion(own, index, self.size, proof, self._roots[self.size])

    async def _logged_hash(self, index: int) -> bytes | None:
        """Return the hash at `index` in the tiles of level 0, None beyond them."""
        tile, at = divmod(index, TILE_WIDTH)
        if at == 0:
            self._bottom = await queries.get_bottom_tile(self._session, tile)
        data = (self._bottom or b"")[at * HASH_SIZE : (at + 1) * HASH_SIZE]
        return data or None

    async def _check_tile(self, level: int) -> list[LogFinding]:
        """Compare every stored version of a tile with the computed one, and begin the next tile."""
        row = self._rows[level]
        if not row:
            return []
        index = ((self._frontier.size >> level * TILE_HEIGHT) - len(row)) // TILE_WIDTH
        data = b"".join(row)
        found = []
        widest = 0
        for width, content in await queries.list_tile_versions(self._session, level, index):
            widest = width
            if content != data[: width * HASH_SIZE]:
                at = next((n for n in range(width) if content[n * 32 : n * 32 + 32] != data[n * 32 : n * 32 + 32]), 0)
                begin = (index * TILE_WIDTH + at) << level * TILE_HEIGHT
                path = f"tile {level}/{index}.p/{width}"
                found.append(LogFinding(begin, "tile", f"{path} 被改动", f"{path} was changed"))
        if widest < len(row):
            path = f"tile {level}/{index}"
            found.append(LogFinding(None, "tile", f"{path} 不全", f"{path} is not whole"))
        self._rows[level] = []
        return found

    async def _beyond(self) -> LogFinding | None:
        """Return a tile beyond the leaves."""
        for level, index, width in await queries.list_widest_tiles(self._session):
            if index * TILE_WIDTH + width > self._frontier.size >> level * TILE_HEIGHT:
                return LogFinding(
                    None, "tile", f"tile {level}/{index} 超出日志", f"tile {level}/{index} goes beyond the log"
                )
        return None


def _columns(leaf: Leaf) -> Iterator[LogFinding]:
    """Compare the search columns of a leaf with its content."""
    for publisher in MEMBERS:
        if leaf.source.split("/")[1:2] == [publisher]:
            arrival = classify(Message(events_topic(publisher), "", leaf.body))
            if isinstance(arrival, LogEntry):
                row = arrival.row(leaf.index, leaf.logged_at)
                kept = (
                    leaf.index,
                    leaf.message_id,
                    leaf.source,
                    leaf.sequence,
                    leaf.type,
                    leaf.subject,
                    leaf.time,
                    leaf.actor,
                    leaf.requestid,
                )
                if row[: len(kept)] == kept:
                    return
    yield LogFinding(leaf.index, "columns", "检索列与内容不符", "its search columns are not what it says")
