"""Controls `python -m deploy.local_platform` as a child process, for benchmarks and tests."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import asyncpg

from deploy.topology import PROCESS_TABLE, ROOT, Topology

READY_TIMEOUT = 600.0
POLL_INTERVAL = 0.05
STOP_TIMEOUT = 120.0
PID_TIMEOUT = 60.0
PORTS = range(10_000, 18_000)
"""Below the ports of outgoing connections: no other process takes a port while the process that listens there is down."""


def free_port(count: int = 1) -> int:
    """Return the first of `count` consecutive free ports."""
    while True:
        first = random.SystemRandom().choice(PORTS)
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for port in range(first, first + count):
                sockets.enter_context(socket.create_server(("127.0.0.1", port)))
            return first


class PlatformProcess:
    """The platform on `directory`; `counts` gives the number of processes of a kind, one where it says nothing."""

    def __init__(self, directory: Path, *, port: int | None = None, **counts: int) -> None:
        self.directory, self.counts = directory, counts
        self.port = port or free_port(counts.get("gateway", 1))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()

    @property
    def url(self) -> str:
        """URL of the first gateway."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start, wait until the first gateway is ready, and return the seconds that it took."""
        started = time.perf_counter()
        self.directory.mkdir(parents=True, exist_ok=True)
        counts = {"GATEWAYS" if kind == "gateway" else kind.upper(): str(count) for kind, count in self.counts.items()}
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
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | counts, stdout=output, stderr=subprocess.STDOUT
            )
        self.await_ready()
        return time.perf_counter() - started

    def await_ready(self, *, url: str | None = None, within: float = READY_TIMEOUT) -> None:
        """Wait until a gateway, and every service behind it, is ready. Raises `RuntimeError`."""
        deadline = time.monotonic() + within
        while True:
            assert self.process
            if self.process.poll() is not None:
                raise RuntimeError(f"the platform ended: {(self.directory / 'output.txt').read_text()[-2000:]}")
            status, body = _get(f"{url or self.url}/ready")
            if status == 200:  # noqa: PLR2004
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the platform is not ready: {status} {body}")
            time.sleep(POLL_INTERVAL)

    def stop(self) -> None:
        """Stop all processes in order, as Ctrl-C does."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(timeout=STOP_TIMEOUT)

    def table(self) -> dict[str, dict[str, Any]]:
        """Return each process by its name: kind, pid (None while it is down) and port."""
        rows = json.loads((self.directory / PROCESS_TABLE).read_text())
        return {row["name"]: row for row in rows}

    def pid(self, name: str) -> int:
        """Return the pid of a process; wait for one that is starting."""
        deadline = time.monotonic() + PID_TIMEOUT
        while True:
            pid = self.table()[name]["pid"]
            if pid and _exists(pid):
                return int(pid)
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} is not running")
            time.sleep(POLL_INTERVAL)

    def process_url(self, name: str) -> str:
        """Return the URL of a process itself, not of the gateway before it."""
        return f"http://127.0.0.1:{self.table()[name]['port']}"

    def topology(self) -> Topology:
        """Return the topology of the running platform."""
        return Topology.running(self.directory)

    def control(self, *arguments: str) -> str:
        """Run `supervisorctl`: `("stop", "stores:kafka")` keeps the process down until `start`."""
        config = self.directory / "processes" / "supervisord.conf"
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(config), *arguments]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False).stdout

    async def connect_superuser(self, database: str) -> asyncpg.Connection:
        """Connect to a service's database as PostgreSQL's superuser."""
        lines = (self.directory / "processes/postgresql/postgres/postmaster.pid").read_text().splitlines()
        # Lines of the file: pid, data directory, start time, port, socket directory (PostgreSQL's miscadmin.h).
        return await asyncpg.connect(user="postgres", database=database, host=lines[4], port=int(lines[3]))

    def secret(self, member: str, name: str) -> str:
        """Return a secret of a member, as its settings read it."""
        return (self.directory / "processes/secrets" / member / f"xindun_{member}_{name}").read_text()

    def first_administrators(self) -> bytes:
        """Run the one-time command that creates the first administrators; return its output."""
        command = [sys.executable, "-m", "deploy.administrators", "--data", str(self.directory)]
        environment = os.environ | {"PYTHONUTF8": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60).stdout


def _get(url: str) -> tuple[int, str]:
    """Return status and body; 0 without a response."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - a URL of this machine
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
