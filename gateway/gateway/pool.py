"""The replicas of one service: name resolution, and selection of the replica with the fewest requests."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Collection, Iterable

import structlog

from gateway.exceptions import PoolTimeout
from gateway.replica import Replica, Target

log = structlog.get_logger()

MAX_REQUESTS_PER_REPLICA = 128
POOL_TIMEOUT = 1.0
"""Seconds that a request waits while every replica has that many."""
RESOLVE_INTERVAL = 2.0


class Pool:
    """All addresses of a service. `run` must run beside it."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = list(targets)
        self._replicas: dict[tuple[str, int], Replica] = {}
        self._health_checks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._order: list[Replica] = []
        self._next = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resolve_now = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether at least one replica is ready."""
        return any(replica.ready for replica in self._order)

    @property
    def revision(self) -> tuple[tuple[str, int, int], ...]:
        """A value that changes when a replica is added, removed or restarted."""
        return tuple(sorted((*key, replica.generation) for key, replica in self._replicas.items()))

    async def run(self) -> None:
        """Resolve names and check replicas until cancelled."""
        try:
            while True:
                await self._resolve()
                self._resolve_now.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESOLVE_INTERVAL):
                        await self._resolve_now.wait()
                        await asyncio.sleep(RESOLVE_INTERVAL / 20)
        finally:
            checks = list(self._health_checks.values())
            for check in checks:
                check.cancel()
            await asyncio.gather(*checks, return_exceptions=True)
            self._health_checks.clear()
            self._replicas.clear()
            self._order = []

    def resolve_soon(self) -> None:
        """Resolve the names before the interval ends: a known address does not respond."""
        self._resolve_now.set()

    async def _resolve(self) -> None:
        """Update the replicas. A name that cannot be resolved keeps its addresses."""
        found: dict[tuple[str, int], Target] = {}
        for target in self._targets:
            try:
                addresses = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=1)
                found |= {(str(address[4][0]), target.port): target for address in addresses}
            except OSError:
                log.warning("pool.name_not_resolved", host=target.host)
                found |= {key: replica.target for key, replica in self._replicas.items() if replica.target == target}
        for key in self._replicas.keys() - found.keys():
            self._health_checks.pop(key).cancel()
            del self._replicas[key]
        for key in found.keys() - self._replicas.keys():
            replica = self._replicas[key] = Replica(found[key], key[0])
            self._health_checks[key] = asyncio.create_task(replica.check_health_periodically())
        self._order = [self._replicas[key] for key in sorted(self._replicas)]

    async def acquire(self, tried: Collection[Replica]) -> Replica | None:
        """Return a replica and count a request on it; None when all are in `tried`. Raises `PoolTimeout`."""
        replica = self._select(tried)
        if replica and replica.requests >= MAX_REQUESTS_PER_REPLICA:
            replica = await self._wait(tried)
        if replica:
            replica.requests += 1
            self._next += 1  # so that replicas with equally many requests take turns
        return replica

    def release(self, replica: Replica) -> None:
        """End a request that `acquire` counted."""
        replica.requests -= 1
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _select(self, tried: Collection[Replica]) -> Replica | None:
        """Return the replica with the fewest requests, a ready one before any other."""
        first = self._next % len(self._order) if self._order else 0
        candidates = [replica for replica in self._order[first:] + self._order[:first] if replica not in tried]
        return min(candidates, key=lambda replica: (not replica.ready, replica.requests), default=None)

    async def _wait(self, tried: Collection[Replica]) -> Replica | None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(POOL_TIMEOUT):
                while (replica := self._select(tried)) and replica.requests >= MAX_REQUESTS_PER_REPLICA:
                    waiter = loop.create_future()
                    self._waiting.append(waiter)
                    await waiter
        except TimeoutError:
            raise PoolTimeout from None
        return replica
