"""The platform as operations run it: separate processes on a real Kafka and a real PostgreSQL, kept by a supervisor."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import asyncpg
import httpx
import psutil

from deploy.platform_process import POLL_INTERVAL, READY_TIMEOUT, PlatformProcess
from deploy.topology import STORES


class ProcessPlatform(PlatformProcess):
    """With faults: kill a process, stop it for a while, wait for the one that replaces it."""

    @property
    def logs(self) -> Path:
        return self.directory / "processes" / "log"

    def signal(self, name: str, number: signal.Signals) -> int:
        """Send a signal to a process and return its number."""
        pid = self.pid(name)
        os.kill(pid, number)
        return pid

    def kill(self, name: str) -> int:
        """Kill -9; the supervisor starts it again."""
        return self.signal(name, signal.SIGKILL)

    @contextlib.contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """SIGSTOP a process, with all that it has started, for the block, then SIGCONT."""
        process = psutil.Process(self.pid(name))
        family = [process, *process.children(recursive=True)]
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.suspend()
        try:
            yield
        finally:
            for each in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.resume()

    def gateways(self) -> list[str]:
        """The addresses of all gateways."""
        return [f"http://127.0.0.1:{each.port}" for each in self.topology().of("gateway")]

    def serving(self) -> list[str]:
        """The names of everything that answers HTTP."""
        return [each.name for each in self.topology().processes if each.kind not in STORES]

    async def ready(self, names: Sequence[str] | None = None, *, within: float = READY_TIMEOUT) -> None:
        """Return when each of `names`, or of all that answer HTTP, says that it is ready."""
        deadline = time.monotonic() + within
        async with httpx.AsyncClient(timeout=10) as client:
            for name in names or self.serving():
                while (said := await self._said(client, name)) != "ready":
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{name} is not ready: {said}")
                    await asyncio.sleep(POLL_INTERVAL)

    async def _said(self, client: httpx.AsyncClient, name: str) -> str:
        if not self.table()[name]["pid"]:
            return "does not run"
        try:
            answer = await client.get(f"{self.process_url(name)}/ready")
        except httpx.TransportError as error:
            return type(error).__name__
        return "ready" if answer.status_code == 200 else answer.text

    async def replaced(self, name: str, pid: int, *, within: float = READY_TIMEOUT) -> int:
        """Return the number of the process that took the place of `pid`, as the platform tells it."""
        deadline = time.monotonic() + within
        while (now := self.table()[name]["pid"]) in (None, pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} was not started again")
            await asyncio.sleep(POLL_INTERVAL)
        return int(now)

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service or gateway, for a command that works with its settings."""
        process = next(each for each in self.topology().processes if each.name == name)
        return os.environ | self.topology().environment(process)

    async def connect(self, database: str) -> asyncpg.Connection:
        """Connect to a service's database as PostgreSQL's superuser; wait for a server that is starting."""
        deadline = time.monotonic() + READY_TIMEOUT
        while True:
            try:
                return await self.connect_superuser(database)
            except (OSError, IndexError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(POLL_INTERVAL)

    @contextlib.asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """A connection of `connect` for a block."""
        connection = await self.connect(name)
        try:
            yield connection
        finally:
            await connection.close()
