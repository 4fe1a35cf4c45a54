"""`make run-processes`: the platform as supervised processes of this machine, until Ctrl-C."""

import argparse
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from common.contracts.services import SERVICES
from deploy.kafka_jars import DigestError, KafkaUnavailableError, jars
from deploy.secret_files import ensure_secrets
from deploy.supervisord import Supervisor, kill_leftovers
from deploy.topology import PROCESS_TABLE, ROOT, STORES, Topology, replica_counts

READY_TIMEOUT = 300.0
POLL_INTERVAL = 0.25
"""Seconds between polls of the supervisor and of readiness."""


class LocalPlatform:
    """A run of the platform on a data directory."""

    def __init__(self, data: Path, port: int) -> None:
        self._file = data / PROCESS_TABLE
        directory = data / "processes"
        directory.mkdir(parents=True, exist_ok=True)
        self._lock_directory(directory)
        kill_leftovers(directory)
        self._topology = Topology.plan(directory, port, replica_counts())
        self._supervisor = Supervisor(self._topology)
        self._pids: dict[str, int] = {}

    def _lock_directory(self, directory: Path) -> None:
        self._lock = (directory / "run.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"数据目录 {directory} 正在使用 / is in use") from None

    def run(self) -> None:
        """Start all processes, print their addresses, and supervise them until a signal."""
        started_at = time.monotonic()
        try:
            self._start()
            self._print_summary(time.monotonic() - started_at)
            while self._supervisor.alive():
                self._write_table()
                time.sleep(POLL_INTERVAL)
            raise SystemExit("supervisord 意外结束 / ended unexpectedly")
        except KeyboardInterrupt:
            print("正在停止 / stopping …", flush=True)
        finally:
            self._supervisor.stop()
            self._file.unlink(missing_ok=True)
        print("信盾已停止。/ Xindun has stopped.", flush=True)

    def _start(self) -> None:
        if differences := ensure_secrets(self._topology.secrets):
            raise SystemExit("\n".join(differences))
        jars()
        self._supervisor.start()
        self._write_table()
        self._set_up()
        self._supervisor.run([each for each in self._topology.processes if each.kind not in STORES])
        deadline = time.monotonic() + READY_TIMEOUT
        while not all(_ready(f"http://127.0.0.1:{gateway.port}") for gateway in self._topology.of("gateway")):
            self._write_table()
            if time.monotonic() > deadline:
                raise SystemExit(f"未能就绪，见 / not ready, see {self._topology.logs}")
            time.sleep(POLL_INTERVAL)

    def _set_up(self) -> None:
        """Run the set-up commands."""
        self._run_commands(["databases"])
        self._run_commands(["topics"], *(["migrate", service] for service in SERVICES))

    def _run_commands(self, *commands: Sequence[str]) -> None:
        running = [self._launch(command) for command in commands]
        statuses = [process.wait() for process in running]
        if any(statuses):
            raise SystemExit(f"准备失败 / a set-up command failed: {self._topology.logs / 'jobs.log'}")

    def _launch(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._topology.logs / "jobs.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.setup_commands", *arguments],
                cwd=ROOT,
                env=os.environ | self._topology.setup_environment(),
                stdout=log,
                stderr=log,
            )

    def _write_table(self) -> None:
        """Write the process table whenever a process id has changed."""
        with contextlib.suppress(OSError):
            pids = self._supervisor.pids()
            if pids != self._pids:
                temporary = self._file.with_suffix(".new")
                temporary.write_text(self._topology.table(pids))
                temporary.replace(self._file)
                self._pids = pids

    def _print_summary(self, seconds: float) -> None:
        base = self._topology.url("gateway")
        self._write_table()
        print(f"\n信盾 Xindun  {base}   ({seconds:.1f} s)\n  API 文档 / API docs  {base}/docs")
        for process in self._topology.processes:
            print(f"  {process.name:<14} pid {self._pids.get(process.name, '-'):<8} port {process.port}")
        control = f".venv/bin/supervisorctl -c {self._supervisor.configuration}"
        print(f"  日志 / logs  {self._topology.logs}\n  控制 / control  {control} status\n", flush=True)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=2) as response:  # noqa: S310 - a local address
            return bool(response.status == 200)  # noqa: PLR2004
    except (OSError, urllib.error.URLError):
        return False


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """`python -m deploy.local_platform [--data DIR] [--port PORT]`."""
    parser = argparse.ArgumentParser(
        description="Run the platform as processes of this machine; GATEWAYS=2 DATASHARE=3 … start replicas."
    )
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("XINDUN_DATA", ".data")))
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell ignores SIGINT for background processes
        signal.signal(number, _interrupt)
    try:
        LocalPlatform(options.data.resolve(), options.port).run()
    except (KafkaUnavailableError, DigestError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
