"""Which processes make up the platform on one machine: what each is called, how it is started, and what it is told."""

import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from common.contracts.services import SERVICES
from deploy.embedded_platform import LOG_ORIGIN
from deploy.embedded_postgres import EmbeddedPostgres
from deploy.kafka_broker import LISTENERS, PORTS

__all__ = ["ROOT", "STORES", "TABLE", "Layout", "Process", "counts_of_environment"]

ROOT = Path(__file__).resolve().parents[2]
STORES = ("postgresql", "kafka")
HOST = "127.0.0.1"
TABLE = "processes.json"
"""Beside the data: which processes run, and where."""
DRAIN = 2.0
"""Seconds: the gateway looks every second which services are ready."""


@dataclass(frozen=True)
class Process:
    """One process: `kind` is a store, a service or the gateway; the first of a kind has its name alone."""

    kind: str
    number: int
    port: int

    @property
    def name(self) -> str:
        """What it is called."""
        return self.kind if self.number == 1 else f"{self.kind}-{self.number}"


class Layout:
    """The platform's processes, with their data in `directory`."""

    def __init__(self, directory: Path, processes: Sequence[Process]) -> None:
        self.directory, self.processes = directory, list(processes)
        self.secrets = directory / "secrets"
        self.logs = directory / "log"

    @classmethod
    def plan(cls, directory: Path, port: int, counts: Mapping[str, int]) -> Self:
        """Return a layout to be started: its doors from `port` on, as many of a kind as `counts` says."""
        ports = _Ports(directory / "ports.json")
        processes = [Process(store, 1, ports.of(store, LISTENERS)) for store in STORES]
        processes += [
            Process(service, number, ports.of(f"{service}-{number}"))
            for service in SERVICES
            for number in range(1, counts.get(service, 1) + 1)
        ]
        processes += [
            Process("gateway", number, port + number - 1) for number in range(1, counts.get("gateway", 1) + 1)
        ]
        ports.keep()
        return cls(directory, processes)

    @classmethod
    def running(cls, data: Path) -> Self:
        """Return the layout that runs on a data directory. Raises `FileNotFoundError` when none does."""
        rows = json.loads((data / TABLE).read_text())
        return cls(data / "processes", [Process(row["kind"], row["number"], row["port"]) for row in rows])

    def table(self, pids: Mapping[str, int]) -> str:
        """Return what `TABLE` says: each process with its number, if it has one now."""
        rows = [
            {"name": each.name, "kind": each.kind, "number": each.number, "pid": pids.get(each.name), "port": each.port}
            for each in self.processes
        ]
        return json.dumps(rows, indent=1)

    def of(self, kind: str) -> list[Process]:
        """Return the processes of a kind."""
        return [process for process in self.processes if process.kind == kind]

    def url(self, kind: str) -> str:
        """Return where the first of a kind answers."""
        return f"http://{HOST}:{self.of(kind)[0].port}"

    def command(self, process: Process) -> list[str]:
        """Return what runs it."""
        if process.kind not in STORES:
            return [sys.executable, "-m", process.kind]
        place = [process.kind, str(self.directory / process.kind), str(process.port), "--secrets", str(self.secrets)]
        return [sys.executable, "-m", "deploy.exec_server", *place]

    def environment(self, process: Process) -> dict[str, str]:
        """Return the settings of a service or a gateway."""
        kafka = f"{HOST}:{self.of('kafka')[0].port}"
        values = {
            "instance": str(process.number),
            "host": HOST,
            "port": str(process.port),
            "drain_delay": str(DRAIN),
            "kafka_bootstrap": kafka,
            "kafka_username": process.kind,
            **(self._service(process) if process.kind in SERVICES else self._gateway()),
        }
        # One arena of memory: the C library's default of eight a core gives an event loop nothing, and costs some 20 MB.
        others = {"XINDUN_SECRETS_DIR": str(self.secrets / process.kind), "MALLOC_ARENA_MAX": "1"}
        return _settings(process.kind, values) | others

    def _service(self, process: Process) -> dict[str, str]:
        service, server = process.kind, f"{HOST}:{self.of('postgresql')[0].port}"
        own = {"incident": {"gateway_url": self.url("gateway")}, "audit": {"log_origin": LOG_ORIGIN}}
        return {"database_url": f"postgresql+asyncpg://{service}_app@{server}/{service}", **own.get(service, {})}

    def _gateway(self) -> dict[str, str]:
        urls = {
            f"{service}_url": ",".join(f"http://{HOST}:{each.port}" for each in self.of(service))
            for service in SERVICES
        }
        return {"show_metrics": "true", **urls}

    def jobs_environment(self) -> dict[str, str]:
        """Return the settings of the jobs that run before the services."""
        values = {
            # The superuser comes through the socket alone.
            "database_host": str(self.socket_directory()),
            "database_port": str(self.of("postgresql")[0].port),
            "kafka_bootstrap": f"{HOST}:{self.of('kafka')[0].port}",
            "kafka_username": "admin",
        }
        return _settings("jobs", values) | {"XINDUN_SECRETS_DIR": str(self.secrets / "jobs")}

    def socket_directory(self) -> Path:
        """Return where PostgreSQL's socket is."""
        return EmbeddedPostgres(self.directory / "postgresql", self.of("postgresql")[0].port).socket_dir


def _settings(member: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"XINDUN_{member}_{name}".upper(): value for name, value in values.items()}


class _Ports:
    """Ports that stay the same from start to start, unless somebody else has taken one meanwhile."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def of(self, name: str, row: int = 1) -> int:
        """Return the first of `row` free ports."""
        port = self._known.get(name)
        for _ in range(1000):
            if (
                port is not None
                and all(_free(each) for each in range(port, port + row))
                and not self._meets(name, port, row)
            ):
                self._known[name] = port
                return port
            port = secrets.choice(PORTS)
        raise RuntimeError("no free port")

    def _meets(self, name: str, port: int, row: int) -> bool:
        return any(abs(port - other) < max(row, LISTENERS) for known, other in self._known.items() if known != name)

    def keep(self) -> None:
        """Remember them."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(self._known, indent=1))
        fresh.replace(self._file)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def counts_of_environment() -> dict[str, int]:
    """Return how many of a kind the environment asks for: `GATEWAYS=2 DATASHARE=3`."""
    names = {"gateway": "GATEWAYS"} | {service: service.upper() for service in SERVICES}
    return {kind: int(os.environ.get(name) or 1) for kind, name in names.items()}
