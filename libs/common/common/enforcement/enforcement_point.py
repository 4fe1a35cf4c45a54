"""The enforcement point: follows the revocation feed, refuses revoked or uncheckable credentials, sends receipts.

The gateway and every service are points, each for itself. A point loads the whole feed before it serves. It is *fresh*
while the bus has confirmed, within the bound (policy `revocation-bound`), that the point stands at the feed's end. A
point that is not fresh refuses. So a revocation is effective everywhere once every live point has sent its receipt, or
once the bound has passed since the bus holds the cutoff (P1, clause 6.5).

"Live" must include every point that decides. So a point decides only after the bus has accepted its first heartbeat
and then confirmed the feed's end once more, and only while its last heartbeat is younger than `LIVENESS_TIMEOUT`.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from prometheus_client import Counter, Gauge

from common.backoff import Backoff
from common.clock import Clock
from common.enforcement.policies import REVOCATION_BOUND, REVOKER_SILENCE, Policies, Policy
from common.enforcement.revocation_feed import Cutoff, Heartbeat, PolicyVersion, Receipt, VerificationKey, read_entry
from common.enforcement.tokens import KeySet
from common.messaging.bus import Bus, BusUnavailable, Message, TopicReader
from common.messaging.topics import FEED_TOPIC, member_name, receipts_topic
from common.problems import Unauthorized, Unavailable

log = structlog.get_logger()

FEED_AGE = Gauge(
    "xindun_feed_age_seconds", "Time since the bus confirmed that the point stands at the feed's end", ["point"]
)
REFUSED = Counter("xindun_point_refused_total", "Credentials refused by the point", ["point", "reason"])

MIN_REVOCATION_BOUND = REVOCATION_BOUND.least / 1000
POLL_INTERVAL = 0.2
"""Seconds between polls of the feed."""
RECONNECT_AFTER = 10.0
"""Seconds without an answered poll, after which the point reads the feed from its beginning."""
HEARTBEAT_INTERVAL = 0.5
"""Seconds between a point's heartbeats."""
LIVENESS_TIMEOUT = 6 * HEARTBEAT_INTERVAL
"""Seconds after a heartbeat during which revocations wait for the point, and after which it refuses."""


class CredentialRevoked(Unauthorized):
    """401: the credential was good, and its subject has been cut off since."""

    slug = "credential-revoked"
    zh, en = "凭证已被撤销", "The credential has been revoked"
    clause = "6.5"
    recorded = True


class FeedStale(Unavailable):
    """503: the point cannot know whether the credential was revoked, so it refuses (P10)."""

    slug = "revocation-feed-stale"
    zh, en = "无法确认凭证是否已被撤销，暂不受理", "Whether the credential was revoked cannot be checked now"
    clause = "6.5"


class RevokerSilent(Unavailable):
    """503: identity has been silent too long, so nothing could be revoked: acts of class A are refused."""

    slug = "revoker-silent"
    zh, en = (
        "撤销方长时间无应答，暂停数据访问和授权操作",
        "The revoker has been silent too long: data and grants are closed",
    )
    clause = "6.5"


class EnforcementPoint:
    """One point's knowledge: cutoffs, verification keys, policies, and how fresh they are."""

    def __init__(self, name: str, bus: Bus, clock: Clock, policies: Mapping[str, Policy]) -> None:
        self.name = name
        self.keys = KeySet()
        self.key_generation = 0
        self.revision = 0
        """Counts applied batches, so that a waiter can see whether one came since its last check."""
        self.readings = 0
        """Counts readings of the feed from its beginning: before each, the feed may have lost entries."""
        self.policies = Policies(policies)
        self._bus, self._clock = bus, clock
        self._cutoffs: dict[str, Cutoff] = {}
        self._confirmed_at: float | None = None
        self._announced_at: float | None = None
        self._alive_at = 0.0
        self._revoker_seen_at: float | None = None
        self._heartbeat: datetime | None = None
        self._retired: set[str] = set()
        self._loaded = asyncio.Event()
        self._open = asyncio.Event()
        self._applied = asyncio.Condition()
        self._owed: list[Message] = []
        self._owing = asyncio.Event()
        self._age = FEED_AGE.labels(name)
        self._age.set_function(self.age)

    # State that requests read

    def age(self) -> float:
        """Seconds since the bus confirmed that this point stands at the feed's end; infinite before the first time."""
        return float("inf") if self._confirmed_at is None else time.monotonic() - self._confirmed_at

    def revoker_age(self) -> float:
        """Seconds since identity's last heartbeat; infinite before the first."""
        return float("inf") if self._revoker_seen_at is None else time.monotonic() - self._revoker_seen_at

    @property
    def known_cutoffs(self) -> int:
        """Number of subjects with a cutoff."""
        return len(self._cutoffs)

    def bound(self) -> float:
        """Seconds that the point may go without confirmation (policy `revocation-bound`)."""
        return self.policies.at(REVOCATION_BOUND.name, self._clock.now()).value / 1000

    def fresh(self) -> bool:
        """Whether the point may decide."""
        if self._announced_at is None or self._confirmed_at is None or self._confirmed_at < self._announced_at:
            return False
        age = self.age()
        # Every request comes here: below the least possible bound, no policy needs to be read.
        return time.monotonic() - self._alive_at <= LIVENESS_TIMEOUT and (
            age <= MIN_REVOCATION_BOUND or age <= self.bound()
        )

    def require_fresh(self) -> None:
        """Raise `FeedStale` unless the point may decide."""
        if not self.fresh():
            REFUSED.labels(self.name, "stale").inc()
            raise FeedStale(headers={"Retry-After": "2"})

    def require_revoker(self) -> None:
        """Raise `RevokerSilent` when identity's last heartbeat is older than policy `revoker-silence`: for acts of class A."""
        limit = self.policies.at(REVOKER_SILENCE.name, self._clock.now()).value
        if self._revoker_seen_at is None or time.monotonic() - self._revoker_seen_at > limit:
            REFUSED.labels(self.name, "revoker-silent").inc()
            raise RevokerSilent(headers={"Retry-After": "10"})

    def require_current(self, epochs: dict[str, int]) -> None:
        """Raise `CredentialRevoked` when a subject of `epochs` (subject → the credential's epoch) is cut off above it."""
        for subject, epoch in epochs.items():
            cutoff = self._cutoffs.get(subject)
            if cutoff and epoch < cutoff.epoch:
                REFUSED.labels(self.name, cutoff.reason).inc()
                raise CredentialRevoked(
                    subject=subject,
                    reason=cutoff.reason,
                    cause=cutoff.cause,
                    since=cutoff.at.isoformat(),
                    cutoff=str(cutoff.id),
                )

    # Following the feed

    async def run(self) -> None:
        """Follow the feed until cancelled; a failure makes the point stale and is retried."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._live())
                group.create_task(self._answer())
        finally:
            self._announced_at = None  # refuse first, then let revocations stop waiting for this point
            with contextlib.suppress(BusUnavailable, TimeoutError):
                await asyncio.wait_for(self._bus.publish([self._receipt("left")]), 1)

    async def loaded(self) -> None:
        """Wait until the point has read the whole feed and may decide for the first time."""
        await self._open.wait()

    async def _follow(self) -> None:
        """Read the feed; start from its beginning whenever reading fails."""
        backoff = Backoff(POLL_INTERVAL, 2.0)
        while True:
            started_at, follower = time.monotonic(), None
            try:
                follower = self._bus.follow(FEED_TOPIC)
                self.readings += 1
                await self._read(follower)
            except BusUnavailable:
                log.warning("point.feed_away", point=self.name, age=round(self.age(), 1))
            except ValueError:
                log.exception("point.feed_unreadable", point=self.name)
            finally:
                if follower:
                    with contextlib.suppress(BusUnavailable):
                        await follower.close()
            if time.monotonic() - started_at > RECONNECT_AFTER:
                backoff.reset()
            await backoff.wait()

    async def _read(self, follower: TopicReader) -> None:
        """Apply entries as they come. Raises `ValueError`, and `BusUnavailable` once it lasts for `RECONNECT_AFTER` seconds.

        A poll that fails is repeated on the same connection: reconnecting costs ten times as much, and all points would
        do it at once, just when brokers or machines are overloaded.
        """
        caught_up, answered_at = False, time.monotonic()
        while True:
            try:
                batch = await follower.poll(POLL_INTERVAL)
            except BusUnavailable:
                if time.monotonic() - answered_at > RECONNECT_AFTER:
                    raise
                caught_up = False  # the next entries may be old
                await asyncio.sleep(POLL_INTERVAL)
                continue
            answered_at = time.monotonic()
            self.readings += batch.reset
            for message in batch.messages:
                self._apply(message, live=caught_up)
            if batch.confirmed_at is not None:
                caught_up = True
                self._confirm(batch.confirmed_at)
            if batch.messages:
                self.revision += 1
                async with self._applied:
                    self._applied.notify_all()

    def _confirm(self, at: float) -> None:
        self._confirmed_at = at
        self._loaded.set()
        if self.fresh():
            self._open.set()

    def _apply(self, message: Message, *, live: bool) -> None:
        """Apply one message; a cutoff that comes after the first load is owed a receipt.

        `live`: the entry is new on the feed, not part of its retained content.
        """
        if message.value is None:
            self._withdraw(message.key)
            return
        entry = read_entry(message.value)
        if isinstance(entry, Cutoff):
            known = self._cutoffs.get(entry.subject)
            if (known is None or entry.epoch > known.epoch) and not self._past(entry):
                self._cutoffs[entry.subject] = entry
                if self._loaded.is_set():
                    self._owed.append(self._receipt("applied", entry))
                    self._owing.set()
        elif isinstance(entry, VerificationKey):
            self.key_generation += 1
            if entry.retired:
                self._retired.add(entry.kid)
                self.keys.remove(entry.kid)
            elif entry.kid not in self._retired:  # the retained feed also has the key's active entry
                self.keys.add(entry.jwk)
        elif isinstance(entry, PolicyVersion):
            self.policies.learn(entry)
        elif isinstance(entry, Heartbeat):
            self._record_heartbeat(entry.at, live=live)

    def _withdraw(self, key: str) -> None:
        """Forget the cutoff of that key, unless a later one of its subject has come."""
        for cutoff in [each for each in self._cutoffs.values() if each.key == key]:
            del self._cutoffs[cutoff.subject]

    def _record_heartbeat(self, at: datetime, *, live: bool) -> None:
        """Record a heartbeat: a live one counts from the moment of reading, a retained one from its own time."""
        if live:
            self._revoker_seen_at = time.monotonic()
        elif self._heartbeat is None or at > self._heartbeat:
            silent = max(0.0, (self._clock.now() - at).total_seconds())
            self._revoker_seen_at = max(self._revoker_seen_at or -math.inf, time.monotonic() - silent)
        self._heartbeat = at

    def _receipt(self, kind: str, cutoff: Cutoff | None = None) -> Message:
        receipt = Receipt.model_validate(
            {"kind": kind, "point": self.name, "cutoff": cutoff.id if cutoff else None, "at": self._clock.now()}
        )
        return Message(receipts_topic(member_name(self.name)), self.name, receipt.to_bytes())

    async def _live(self) -> None:
        """Send heartbeats until cancelled."""
        await self._loaded.wait()
        while True:
            started_at = time.monotonic()
            with contextlib.suppress(BusUnavailable):
                await self._bus.publish([self._receipt("alive")])
                self._alive_at = started_at
                if self._announced_at is None:
                    self._announced_at = time.monotonic()
            self._forget()
            await asyncio.sleep(HEARTBEAT_INTERVAL)

    async def _answer(self) -> None:
        """Publish the receipts that are owed, beside the reading of the feed."""
        while True:
            await self._owing.wait()
            owed = tuple(self._owed)
            try:
                await self._bus.publish(owed)
            except BusUnavailable:
                await asyncio.sleep(POLL_INTERVAL)
                continue
            del self._owed[: len(owed)]
            if not self._owed:
                self._owing.clear()

    def _past(self, cutoff: Cutoff) -> bool:
        """Whether the last credential that `cutoff` concerns has expired by itself."""
        return cutoff.until is not None and cutoff.until < self._clock.now()

    def _forget(self) -> None:
        for subject in [subject for subject, cutoff in self._cutoffs.items() if self._past(cutoff)]:
            del self._cutoffs[subject]

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until `condition` holds after some entry was applied; False when `timeout` seconds passed first."""
        async with self._applied:
            try:
                async with asyncio.timeout(timeout):
                    await self._applied.wait_for(condition)
            except TimeoutError:
                return False
        return True

    def holds(self, cutoff_subject: str, epoch: int) -> bool:
        """Whether a cutoff of `cutoff_subject` with at least `epoch` has been applied here."""
        known = self._cutoffs.get(cutoff_subject)
        return known is not None and known.epoch >= epoch
