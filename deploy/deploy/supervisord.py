"""Configures, starts and controls supervisord, which supervises the local processes."""

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

from deploy.topology import ROOT, STORES, Process, Topology

RUN_VARIABLE = "XINDUN_RUN"
"""Environment variable of every process of a run: it names the data directory, so that a later run finds leftovers."""
START_TIMEOUT, STOP_TIMEOUT = 20.0, 90.0
MAX_SOCKET_PATH_BYTES = 100


class Supervisor:
    """supervisord for `topology`; it starts the stores by itself, other processes by `run`."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self.configuration = topology.directory / "supervisord.conf"
        self._socket = _short_path(topology.directory / "supervisor.sock")
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it in a new session: Ctrl-C reaches only this process, which stops everything in order."""
        self._topology.logs.mkdir(exist_ok=True)
        self.configuration.write_text(self._configuration_text())
        self.configuration.chmod(0o600)
        self._daemon = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--configuration", str(self.configuration)],
            cwd=ROOT,
            env=os.environ | {RUN_VARIABLE: str(self._topology.directory)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not self._responds():
            if self._daemon.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"supervisord 未能启动 / did not start: {self._topology.logs / 'supervisord.log'}")
            time.sleep(0.05)

    def _proxy(self) -> Any:
        """Return a new XML-RPC proxy: one that has failed stays unusable."""
        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def _responds(self) -> bool:
        try:
            return bool(self._proxy().getState()["statename"] == "RUNNING")
        except (OSError, Fault):
            return False

    def run(self, processes: Sequence[Process]) -> None:
        """Start `processes`."""
        for process in processes:
            self._proxy().startProcess(f"{_group(process)}:{process.name}", False)  # noqa: FBT003 - do not wait

    def pids(self) -> dict[str, int]:
        """Return the process ids of running processes. Raises `OSError` if the supervisor does not answer."""
        return {each["name"]: each["pid"] for each in self._proxy().getAllProcessInfo() if each["pid"]}

    def alive(self) -> bool:
        """Whether the supervisor runs."""
        return self._daemon is not None and self._daemon.poll() is None

    def stop(self) -> None:
        """Stop all processes, gateways first, stores last."""
        if self._daemon is None:
            return
        if self.alive():
            self._daemon.send_signal(signal.SIGTERM)
        self._daemon.wait(STOP_TIMEOUT)

    def _configuration_text(self) -> str:
        topology = self._topology
        parts = [
            "[supervisord]",
            f"logfile={topology.logs / 'supervisord.log'}",
            f"pidfile={topology.directory / 'supervisord.pid'}",
            f"childlogdir={topology.logs}",
            "[unix_http_server]",
            f"file={self._socket}",
            "chmod=0700",
            "[supervisorctl]",
            f"serverurl=unix://{self._socket}",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        groups: dict[str, list[str]] = {}
        for process in topology.processes:
            groups.setdefault(_group(process), []).append(process.name)
            parts += self._program(process)
        for order, (group, names) in enumerate(groups.items(), 1):
            parts += [f"[group:{group}]", f"programs={','.join(names)}", f"priority={order}"]
        return "\n".join(parts) + "\n"

    def _program(self, process: Process) -> list[str]:
        store = process.kind in STORES
        environment = {} if store else self._topology.environment(process)
        variables = ",".join(f'{name}="{value}"' for name, value in environment.items())
        return [
            f"[program:{process.name}]",
            f"command={shlex.join(self._topology.command(process))}".replace("%", "%%"),
            f"environment={variables}".replace("%", "%%"),
            f"directory={ROOT}",
            f"autostart={'true' if store else 'false'}",
            "autorestart=true",
            # Restart without limit: processes wait for database and bus by themselves; any other failure must stay visible.
            "startretries=1000000",
            f"stopsignal={'INT' if process.kind == 'postgresql' else 'TERM'}",
            "stopwaitsecs=60",
            "redirect_stderr=true",
            f"stdout_logfile={self._topology.logs / process.name}.log",
            "stdout_logfile_maxbytes=64MB",
            "stdout_logfile_backups=1",
        ]


def _group(process: Process) -> str:
    return "stores" if process.kind in STORES else "gateways" if process.kind == "gateway" else "services"


def _short_path(socket: Path) -> Path:
    """Return `socket`, or a path that is short enough for a unix socket."""
    if len(os.fsencode(socket)) <= MAX_SOCKET_PATH_BYTES:
        return socket
    name = hashlib.sha256(os.fsencode(socket)).hexdigest()[:16]
    return Path("/tmp") / f"xindun-{os.geteuid()}-{name}.sock"  # noqa: S108 - supervisord creates it, for its user only


def kill_leftovers(directory: Path) -> None:
    """Kill the processes of a killed run on `directory`, the supervisor first."""
    leftovers = [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _run_directory(process) == str(directory)
    ]
    leftovers.sort(key=lambda process: "supervisor.supervisord" not in process.cmdline())
    for process in leftovers:
        try:
            process.kill()
            process.wait(STOP_TIMEOUT)
        except psutil.NoSuchProcess:
            continue


def _run_directory(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(RUN_VARIABLE)
    except (psutil.Error, OSError):
        return None
