"""The replicas behind a service's name: found, watched, chosen, and the connections kept to each."""

import asyncio
import contextlib
import random
import ssl
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import structlog

from gateway.connection import Broken, Connection

__all__ = ["CannotConnect", "NoRoom", "Replica", "Replicas", "Target"]

log = structlog.get_logger()

CONNECTIONS = 128
"""Requests to one replica at a time."""
ROOM_WITHIN = 1.0
"""Seconds that a request waits for one of them."""
CONNECT_WITHIN = 1.0
READY_WITHIN = 2.0
"""Seconds in which a replica that is alive says whether it is ready."""
LOOK_EVERY = 1.0
RESOLVE_EVERY = 2.0
IDLE_FOR = 30.0
"""Seconds that a connection is kept without use: shorter than the service keeps it."""
READY = 200


class CannotConnect(Exception):  # noqa: N818 - a state, which the caller turns into a problem
    """The replica takes no connection: nothing was sent."""


class NoRoom(Exception):  # noqa: N818
    """Every connection to every replica is in use."""


@dataclass(frozen=True, slots=True)
class Target:
    """One URL of a service's settings."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, urls: str, ca_file: Path | None) -> list[Self]:
        """Read one URL, or several by commas. Raises `ValueError`."""
        targets = []
        for url in urls.split(","):
            parts = urlsplit(url.strip())
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.path not in ("", "/")
                or parts.query
            ):
                raise ValueError("an upstream is http://host:port or https://host:port")
            tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
            targets.append(cls(parts.hostname, parts.port or (443 if tls else 80), tls))
        return targets

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Replica:
    """One address of a service."""

    def __init__(self, target: Target, address: str) -> None:
        self.target, self.address = target, address
        self.host_line = f"host: {target.authority}\r\n".encode()
        self.ready = False
        self.busy = 0
        self.born = 0
        """Counts the processes seen at this address."""
        self._idle: list[Connection] = []
        self._gone = False
        self._looking: Connection | None = None
        self._look_now = asyncio.Event()

    async def connect(self) -> Connection:
        """Open a connection. Raises `CannotConnect`."""
        loop = asyncio.get_running_loop()
        tls = self.target.tls
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    self.address,
                    self.target.port,
                    ssl=tls,
                    server_hostname=self.target.host if tls else None,
                )
        except (OSError, TimeoutError) as error:  # a certificate that proves nothing is an OSError too
            self.doubt()
            raise CannotConnect from error
        return connection

    def kept(self) -> Connection | None:
        """Return a connection that waits for use, the one used last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def give_back(self, connection: Connection) -> None:
        """End a request on its connection, and keep that for the next one if it can be."""
        if connection.release():
            if self._gone:
                connection.close()
            else:
                self._idle.append(connection)

    def doubt(self) -> None:
        """Ask no more of this replica than must be until it has been looked at, which is now."""
        self.ready = False
        self.drop()
        self._look_now.set()

    def drop(self) -> None:
        """Close the connections that nobody uses."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def watch(self) -> None:
        """Ask again and again whether the replica is ready, until cancelled."""
        said = ""
        try:
            while True:
                found = await self._look()
                self.ready = found == "ready"
                if found != said:
                    log.info(
                        "replica.seen", host=self.target.host, address=self.address, port=self.target.port, found=found
                    )
                    said = found
                if not self.ready:
                    self.drop()
                self._close_old()
                await self._pause()
        finally:
            self._gone = True
            if self._looking:
                self._looking.close()
            self.drop()

    async def _look(self) -> str:
        """Ask once, on a connection that serves nothing else."""
        try:
            if self._looking is None or not self._looking.usable:
                self._looking = await self.connect()
                self.born += 1
            connection = self._looking
            async with asyncio.timeout(READY_WITHIN):
                connection.ask(b"GET /ready HTTP/1.1\r\n" + self.host_line + b"\r\n", head=False)
                await connection.answered()
                while await connection.piece() is not None:
                    pass
        except CannotConnect as error:
            return f"no connection: {type(error.__cause__).__name__}"
        except (Broken, TimeoutError) as error:
            if self._looking:
                self._looking.close()
            return f"no answer: {type(error).__name__}"
        connection.release()
        return "ready" if connection.status == READY else "not ready"

    async def _pause(self) -> None:
        self._look_now.clear()
        wait = LOOK_EVERY * random.uniform(0.8, 1.2)  # noqa: S311 - so that gateways do not ask in step
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._look_now.wait()
                await asyncio.sleep(LOOK_EVERY / 10)  # many may doubt at once
        self._look_now.clear()

    def _close_old(self) -> None:
        oldest = asyncio.get_running_loop().time() - IDLE_FOR
        for connection in self._idle:
            if connection.idle_since < oldest:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.usable]


class Replicas:
    """All addresses of a service."""

    def __init__(self, targets: Iterable[Target]) -> None:
        self._targets = list(targets)
        self._known: dict[tuple[str, int], Replica] = {}
        self._watches: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._order: list[Replica] = []
        self._turn = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._resolve_now = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether at least one replica is."""
        return any(replica.ready for replica in self._order)

    @property
    def revision(self) -> tuple[tuple[str, int, int], ...]:
        """Another value when a replica came, went, or was started anew."""
        return tuple(sorted((*key, replica.born) for key, replica in self._known.items()))

    async def run(self) -> None:
        """Look up names and watch replicas until cancelled."""
        try:
            while True:
                await self._resolve()
                self._resolve_now.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RESOLVE_EVERY):
                        await self._resolve_now.wait()
                        await asyncio.sleep(RESOLVE_EVERY / 20)
        finally:
            watches = list(self._watches.values())
            for watch in watches:
                watch.cancel()
            await asyncio.gather(*watches, return_exceptions=True)
            self._watches.clear()
            self._known.clear()
            self._order = []

    def resolve_soon(self) -> None:
        """Look the names up again: an address that was good does not answer."""
        self._resolve_now.set()

    async def _resolve(self) -> None:
        """Take in what the names mean now; a name that cannot be looked up keeps what it meant."""
        found: dict[tuple[str, int], Target] = {}
        for target in self._targets:
            try:
                answers = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=1)
                found |= {(str(answer[4][0]), target.port): target for answer in answers}
            except OSError:
                log.warning("replica.name_unknown", host=target.host)
                found |= {key: replica.target for key, replica in self._known.items() if replica.target == target}
        for key in self._known.keys() - found.keys():
            self._watches.pop(key).cancel()
            del self._known[key]
        for key in found.keys() - self._known.keys():
            replica = self._known[key] = Replica(found[key], key[0])
            self._watches[key] = asyncio.create_task(replica.watch())
        self._order = [self._known[key] for key in sorted(self._known)]

    def choose(self, tried: set[Replica]) -> Replica | None:
        """Return the replica with the fewest requests, one that is ready before any other; None when all were tried."""
        best: Replica | None = None
        for step in range(len(self._order)):
            replica = self._order[(self._turn + step) % len(self._order)]
            if replica in tried:
                continue
            if best is None or (not replica.ready, replica.busy) < (not best.ready, best.busy):
                best = replica
        return best

    async def pick(self, tried: set[Replica]) -> Replica | None:
        """Choose, and wait a moment where all that could be chosen are busy. Raises `NoRoom`."""
        replica = self.choose(tried)
        if replica is None or replica.busy < CONNECTIONS:
            return replica
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(ROOM_WITHIN):
                while replica and replica.busy >= CONNECTIONS:
                    turn = loop.create_future()
                    self._waiting.append(turn)
                    await turn
                    replica = self.choose(tried)
        except TimeoutError:
            raise NoRoom from None
        return replica

    def enter(self, replica: Replica) -> None:
        """Count a request of `replica`, and let the next one look further first."""
        replica.busy += 1
        self._turn += 1

    def leave(self, replica: Replica) -> None:
        """Count a request of `replica` as ended."""
        replica.busy -= 1
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
