"""The platform as operations run it: separate processes on a real Kafka and a real PostgreSQL, kept by a supervisor."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import psutil

from deploy.topology import STORES, Layout
from tests.harness.embedded_platform import ROOT
from tests.harness.ports import free_port

READY_WITHIN = 600.0
LOOK_EVERY = 0.05


class ProcessPlatform:
    """`python -m deploy.local_platform` on `directory`, with as many of a kind as `counts` says."""

    def __init__(self, directory: Path, *, port: int | None = None, **counts: int) -> None:
        self.directory, self.counts = directory, counts
        self.port = port or free_port(counts.get("gateway", 1))
        self.starter: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The first gateway."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def logs(self) -> Path:
        return self.directory / "processes" / "log"

    def start(self) -> float:
        """Start, wait until the first gateway is ready, and return the seconds it took."""
        begun = time.perf_counter()
        self.directory.mkdir(parents=True, exist_ok=True)
        names = {kind: "GATEWAYS" if kind == "gateway" else kind.upper() for kind in self.counts}
        asked = {names[kind]: str(count) for kind, count in self.counts.items()}
        command = [
            sys.executable,
            "-m",
            "deploy.local_platform",
            "--data",
            str(self.directory),
            "--port",
            str(self.port),
        ]
        with (self.directory / "output.txt").open("ab") as output:
            self.starter = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | asked, stdout=output, stderr=subprocess.STDOUT
            )
        self.await_ready()
        return time.perf_counter() - begun

    def await_ready(self, *, url: str | None = None, within: float = READY_WITHIN) -> None:
        """Return when a gateway, and behind it every service, is ready."""
        deadline = time.monotonic() + within
        last = "no answer"
        while True:
            assert self.starter
            if self.starter.poll() is not None:
                raise RuntimeError(f"the platform ended: {(self.directory / 'output.txt').read_text()[-2000:]}")
            with contextlib.suppress(httpx.TransportError):
                answer = httpx.get(f"{url or self.url}/ready", timeout=5)
                if answer.status_code == 200:
                    return
                last = answer.text
            if time.monotonic() > deadline:
                raise RuntimeError(f"the platform is not ready: {last}")
            time.sleep(LOOK_EVERY)

    def stop(self) -> None:
        """End all in order, as Ctrl-C does."""
        if self.starter and self.starter.poll() is None:
            self.starter.send_signal(signal.SIGINT)
            self.starter.wait(timeout=120)

    def table(self) -> dict[str, dict[str, Any]]:
        """Each process by its name: kind, pid (None while it is down) and port, as the platform tells it."""
        rows = json.loads((self.directory / "processes.json").read_text())
        return {row["name"]: row for row in rows}

    def pid(self, name: str) -> int:
        """The number of a process; waits for one that is being started."""
        deadline = time.monotonic() + 60
        while True:
            pid = self.table()[name]["pid"]
            if pid and _lives(pid):
                return int(pid)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not running")
            time.sleep(LOOK_EVERY)

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
        return [f"http://127.0.0.1:{each.port}" for each in self.layout().of("gateway")]

    def serving(self) -> list[str]:
        """The names of everything that answers HTTP."""
        return [each.name for each in self.layout().processes if each.kind not in STORES]

    async def ready(self, names: Sequence[str] | None = None, *, within: float = READY_WITHIN) -> None:
        """Return when each of `names`, or of all that answer HTTP, says that it is ready."""
        deadline = time.monotonic() + within
        async with httpx.AsyncClient(timeout=10) as client:
            for name in names or self.serving():
                while (said := await self._said(client, name)) != "ready":
                    if time.monotonic() > deadline:
                        raise RuntimeError(f"{name} is not ready: {said}")
                    await asyncio.sleep(LOOK_EVERY)

    async def _said(self, client: httpx.AsyncClient, name: str) -> str:
        if not self.table()[name]["pid"]:
            return "does not run"
        try:
            answer = await client.get(f"{self.direct(name)}/ready")
        except httpx.TransportError as error:
            return type(error).__name__
        return "ready" if answer.status_code == 200 else answer.text

    async def replaced(self, name: str, pid: int, *, within: float = READY_WITHIN) -> int:
        """Return the number of the process that took the place of `pid`, as the platform tells it."""
        deadline = time.monotonic() + within
        while (now := self.table()[name]["pid"]) in (None, pid):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} was not started again")
            await asyncio.sleep(LOOK_EVERY)
        return int(now)

    def environment(self, name: str) -> dict[str, str]:
        """The environment of a service or gateway, for a command that works with its settings."""
        process = next(each for each in self.layout().processes if each.name == name)
        return os.environ | self.layout().environment(process)

    def control(self, *words: str) -> str:
        """Run `supervisorctl`: `control("stop", "stores:kafka")` keeps a process down until `start`."""
        configuration = self.directory / "processes" / "supervisord.conf"
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(configuration), *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False).stdout

    def direct(self, name: str) -> str:
        """The address of a process itself, past the gateway."""
        return f"http://127.0.0.1:{self.table()[name]['port']}"

    def layout(self) -> Layout:
        """The layout that runs."""
        return Layout.running(self.directory)

    async def admin(self, database: str) -> asyncpg.Connection:
        """A connection of PostgreSQL's superuser into a service's database; waits for a server that is being started."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                return await self._superuser(database)
            except (OSError, IndexError, asyncpg.PostgresError, asyncpg.InterfaceError):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(LOOK_EVERY)

    async def _superuser(self, database: str) -> asyncpg.Connection:
        data = self.directory / "processes"
        lines = (data / "postgresql" / "postgres" / "postmaster.pid").read_text().splitlines()
        # Lines of the file: pid, data directory, start, port, socket directory (PostgreSQL's miscadmin.h).
        return await asyncpg.connect(user="postgres", database=database, host=lines[4], port=int(lines[3]))

    @contextlib.asynccontextmanager
    async def database(self, name: str) -> AsyncIterator[asyncpg.Connection]:
        """Give a connection of PostgreSQL's superuser into a service's database."""
        connection = await self.admin(name)
        try:
            yield connection
        finally:
            await connection.close()

    def secret(self, member: str, name: str) -> str:
        """A secret of a member, as its settings read it."""
        path = self.directory / "processes" / "secrets" / member / f"xindun_{member}_{name}"
        return path.read_text()

    def first_administrators(self) -> bytes:
        """Run the one-time command and return what it prints."""
        command = [sys.executable, "-m", "deploy.administrators", "--data", str(self.directory)]
        environment = os.environ | {"PYTHONUTF8": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60).stdout


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
