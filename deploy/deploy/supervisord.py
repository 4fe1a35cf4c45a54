"""The supervisor that keeps the processes: its configuration, and its remote control."""

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import psutil
from supervisor.xmlrpc import SupervisorTransport

from deploy.topology import ROOT, STORES, Layout, Process

__all__ = ["Supervisor", "end_what_is_left"]

MARK = "XINDUN_RUN"
"""A variable of every process of a run: it names the data, so that a later run finds what an earlier one left."""
START_TERM, STOP_TERM = 20.0, 90.0
LONGEST_SOCKET = 100


class Supervisor:
    """supervisord on `layout`; it starts the stores by itself, everything else when it is told."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.configuration = layout.directory / "supervisord.conf"
        self._socket = _short(layout.directory / "supervisor.sock")
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own: Ctrl-C is for the starter, who ends all in order."""
        self._layout.logs.mkdir(exist_ok=True)
        self.configuration.write_text(self._configured())
        self.configuration.chmod(0o600)
        self._daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(self.configuration)],
            cwd=ROOT,
            env=os.environ | {MARK: str(self._layout.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TERM
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"supervisord 未能启动 / did not start: {self._layout.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def _remote(self) -> Any:
        """Return its remote control: a new one each time, because one that has failed stays so."""
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _answers(self) -> bool:
        try:
            return bool(self._remote().getState()["statename"] == "RUNNING")
        except (OSError, Fault):
            return False

    def run(self, processes: Sequence[Process]) -> None:
        """Start these."""
        for process in processes:
            self._remote().startProcess(f"{_group(process)}:{process.name}", False)  # noqa: FBT003 - do not wait

    def pids(self) -> dict[str, int]:
        """Return the number of each process that runs now. Raises `OSError` when the supervisor does not answer."""
        return {each["name"]: each["pid"] for each in self._remote().getAllProcessInfo() if each["pid"]}

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self._daemon is not None and self._daemon.poll() is None

    def stop(self) -> None:
        """End all: gateways first, stores last."""
        if self._daemon is None:
            return
        if self.alive():
            self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(STOP_TERM)

    def _configured(self) -> str:
        layout = self._layout
        parts = [
            "[supervisord]",
            f"logfile={layout.logs / 'supervisord.log'}",
            f"pidfile={layout.directory / 'supervisord.pid'}",
            f"childlogdir={layout.logs}",
            "[unix_http_server]",
            f"file={self._socket}",
            "chmod=0700",
            "[supervisorctl]",
            f"serverurl=unix://{self._socket}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        groups: dict[str, list[str]] = {}
        for process in layout.processes:
            groups.setdefault(_group(process), []).append(process.name)
            parts += self._program(process)
        for order, (group, names) in enumerate(groups.items(), 1):
            parts += [f"[group:{group}]", f"programs={','.join(names)}", f"priority={order}"]
        return "\n".join(parts) + "\n"

    def _program(self, process: Process) -> list[str]:
        store = process.kind in STORES
        environment = {} if store else self._layout.environment(process)
        told = ",".join(f'{name}="{value}"' for name, value in environment.items())
        return [
            f"[program:{process.name}]",
            f"command={shlex.join(self._layout.command(process))}".replace("%", "%%"),
            f"environment={told}".replace("%", "%%"),
            f"directory={ROOT}",
            f"autostart={'true' if store else 'false'}",
            "autorestart=true",
            # It is never given up: what lacks the database or the bus waits by itself, and all else is a defect to see.
            "startretries=1000000",
            f"stopsignal={'INT' if process.kind == 'postgresql' else 'TERM'}",
            "stopwaitsecs=60",
            "redirect_stderr=true",
            f"stdout_logfile={self._layout.logs / process.name}.log",
            "stdout_logfile_maxbytes=64MB",
            "stdout_logfile_backups=1",
        ]


def _group(process: Process) -> str:
    return "stores" if process.kind in STORES else "gateways" if process.kind == "gateway" else "services"


def _short(socket: Path) -> Path:
    """Return `socket`, or a place for it whose path the system takes."""
    if len(os.fsencode(socket)) <= LONGEST_SOCKET:
        return socket
    name = hashlib.sha256(os.fsencode(socket)).hexdigest()[:16]
    return Path("/tmp") / f"xindun-{os.geteuid()}-{name}.sock"  # noqa: S108 - supervisord makes it, for its user alone


def end_what_is_left(directory: Path) -> None:
    """End the processes that a run on `directory` left when it was killed: the supervisor first, then what it kept."""
    left = [
        process for process in psutil.process_iter() if process.pid != os.getpid() and _mark(process) == str(directory)
    ]
    left.sort(key=lambda process: "supervisor.supervisord" not in process.cmdline())
    for process in left:
        try:
            process.kill()
            process.wait(STOP_TERM)
        except psutil.NoSuchProcess:
            continue


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except (psutil.Error, OSError):
        return None
