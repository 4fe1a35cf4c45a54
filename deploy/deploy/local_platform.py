"""`make run-processes`: the platform as processes of one machine, kept alive until Ctrl-C."""

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
from deploy.kafka_jars import KafkaUnavailable, WrongDigest, jars
from deploy.secret_files import ensure_secrets
from deploy.supervisord import Supervisor, end_what_is_left
from deploy.topology import ROOT, STORES, TABLE, Layout, counts_of_environment

__all__ = ["main"]

READY_WITHIN = 300.0
LOOK_EVERY = 0.25
"""Seconds between looks at which process has which number."""


class Platform:
    """One run of the platform on a data directory."""

    def __init__(self, data: Path, port: int) -> None:
        self._file = data / TABLE
        directory = data / "processes"
        directory.mkdir(parents=True, exist_ok=True)
        self._alone(directory)
        end_what_is_left(directory)
        self._layout = Layout.plan(directory, port, counts_of_environment())
        self._supervisor = Supervisor(self._layout)
        self._known: dict[str, int] = {}

    def _alone(self, directory: Path) -> None:
        self._lock = (directory / "run.lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"数据目录 {directory} 正在使用 / is in use") from None

    def run(self) -> None:
        """Start all, tell where it is, and keep it until a signal comes."""
        begun = time.monotonic()
        try:
            self._begin()
            self._tell(time.monotonic() - begun)
            while self._supervisor.alive():
                self._note()
                time.sleep(LOOK_EVERY)
            raise SystemExit("supervisord 意外结束 / ended unexpectedly")
        except KeyboardInterrupt:
            print("正在停止 / stopping …", flush=True)
        finally:
            self._supervisor.stop()
            self._file.unlink(missing_ok=True)
        print("信盾已停止。/ Xindun has stopped.", flush=True)

    def _begin(self) -> None:
        if differences := ensure_secrets(self._layout.secrets):
            raise SystemExit("\n".join(differences))
        jars()
        self._supervisor.start()
        self._note()
        self._jobs()
        self._supervisor.run([each for each in self._layout.processes if each.kind not in STORES])
        deadline = time.monotonic() + READY_WITHIN
        while not all(_ready(f"http://127.0.0.1:{gateway.port}") for gateway in self._layout.of("gateway")):
            self._note()
            if time.monotonic() > deadline:
                raise SystemExit(f"未能就绪，见 / not ready, see {self._layout.logs}")
            time.sleep(LOOK_EVERY)

    def _jobs(self) -> None:
        """Do what has to be done before services start."""
        self._do(["databases"])
        self._do(["topics"], *(["migrate", service] for service in SERVICES))

    def _do(self, *jobs: Sequence[str]) -> None:
        running = [self._launched(job) for job in jobs]
        statuses = [process.wait() for process in running]
        if any(statuses):
            raise SystemExit(f"准备失败 / a job failed: {self._layout.logs / 'jobs.log'}")

    def _launched(self, words: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self._layout.logs / "jobs.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "deploy.setup_commands", *words],
                cwd=ROOT,
                env=os.environ | self._layout.jobs_environment(),
                stdout=log,
                stderr=log,
            )

    def _note(self) -> None:
        """Write down which process has which number now, whenever it changed."""
        with contextlib.suppress(OSError):
            pids = self._supervisor.pids()
            if pids != self._known:
                fresh = self._file.with_suffix(".new")
                fresh.write_text(self._layout.table(pids))
                fresh.replace(self._file)
                self._known = pids

    def _tell(self, seconds: float) -> None:
        base = self._layout.url("gateway")
        self._note()
        print(f"\n信盾 Xindun  {base}   ({seconds:.1f} s)\n  API 文档 / API docs  {base}/docs")
        for process in self._layout.processes:
            print(f"  {process.name:<14} pid {self._known.get(process.name, '-'):<8} port {process.port}")
        control = f".venv/bin/supervisorctl -c {self._supervisor.configuration}"
        print(f"  日志 / logs  {self._layout.logs}\n  控制 / control  {control} status\n", flush=True)


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/ready", timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)  # noqa: PLR2004
    except (OSError, urllib.error.URLError):
        return False


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """`python -m deploy.local_platform [--data DIR] [--port PORT]`; GATEWAYS=, IDENTITY=, DATASHARE= … say how many."""
    parser = argparse.ArgumentParser(description="Run the platform as processes of this machine.")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("XINDUN_DATA", ".data")))
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # also where the shell that put us in the background ignores one
        signal.signal(number, _interrupt)
    try:
        Platform(options.data.resolve(), options.port).run()
    except (KafkaUnavailable, WrongDigest) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
