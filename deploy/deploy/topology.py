"""The local processes of the platform: their names, ports, commands and settings."""

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
from deploy.kafka_broker import LISTENER_COUNT, PORTS

ROOT = Path(__file__).resolve().parents[2]
STORES = ("postgresql", "kafka")
HOST = "127.0.0.1"
PROCESS_TABLE = "processes.json"
"""File in the data directory with the running processes, their ids and ports."""
DRAIN_DELAY = 2.0
"""Seconds: longer than the interval of the gateway's health checks."""


@dataclass(frozen=True)
class Process:
    """One process; `kind` is a store, a service or `gateway`."""

    kind: str
    number: int
    port: int

    @property
    def name(self) -> str:
        """The kind, with the number from the second of a kind on."""
        return self.kind if self.number == 1 else f"{self.kind}-{self.number}"


class Topology:
    """The platform's processes, with their data in `directory`."""

    def __init__(self, directory: Path, processes: Sequence[Process]) -> None:
        self.directory, self.processes = directory, list(processes)
        self.secrets = directory / "secrets"
        self.logs = directory / "log"

    @classmethod
    def plan(cls, directory: Path, port: int, counts: Mapping[str, int]) -> Self:
        """Return a topology to start: gateways from `port` on, as many processes of a kind as in `counts`."""
        ports = _Ports(directory / "ports.json")
        processes = [Process(store, 1, ports.of(store, LISTENER_COUNT)) for store in STORES]
        processes += [
            Process(service, number, ports.of(f"{service}-{number}"))
            for service in SERVICES
            for number in range(1, counts.get(service, 1) + 1)
        ]
        processes += [
            Process("gateway", number, port + number - 1) for number in range(1, counts.get("gateway", 1) + 1)
        ]
        ports.store()
        return cls(directory, processes)

    @classmethod
    def running(cls, data: Path) -> Self:
        """Return the topology that runs on a data directory. Raises `FileNotFoundError` if none runs."""
        rows = json.loads((data / PROCESS_TABLE).read_text())
        return cls(data / "processes", [Process(row["kind"], row["number"], row["port"]) for row in rows])

    def table(self, pids: Mapping[str, int]) -> str:
        """Return the content of `PROCESS_TABLE`: each process with its id, if it runs."""
        rows = [
            {"name": each.name, "kind": each.kind, "number": each.number, "pid": pids.get(each.name), "port": each.port}
            for each in self.processes
        ]
        return json.dumps(rows, indent=1)

    def of(self, kind: str) -> list[Process]:
        """Return the processes of a kind."""
        return [process for process in self.processes if process.kind == kind]

    def url(self, kind: str) -> str:
        """Return the URL of the first process of a kind."""
        return f"http://{HOST}:{self.of(kind)[0].port}"

    def command(self, process: Process) -> list[str]:
        """Return the command that runs `process`."""
        if process.kind not in STORES:
            return [sys.executable, "-m", process.kind]
        place = [process.kind, str(self.directory / process.kind), str(process.port), "--secrets", str(self.secrets)]
        return [sys.executable, "-m", "deploy.exec_server", *place]

    def environment(self, process: Process) -> dict[str, str]:
        """Return the environment variables of a service or a gateway."""
        kafka = f"{HOST}:{self.of('kafka')[0].port}"
        values = {
            "instance": str(process.number),
            "host": HOST,
            "port": str(process.port),
            "drain_delay": str(DRAIN_DELAY),
            "kafka_bootstrap": kafka,
            "kafka_username": process.kind,
            **(self._service(process) if process.kind in SERVICES else self._gateway()),
        }
        # One malloc arena: glibc's default of eight per core costs some 20 MB and does not help an event loop.
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

    def setup_environment(self) -> dict[str, str]:
        """Return the environment variables of the set-up commands."""
        values = {
            # The superuser connects through the socket only.
            "database_host": str(self.socket_directory()),
            "database_port": str(self.of("postgresql")[0].port),
            "kafka_bootstrap": f"{HOST}:{self.of('kafka')[0].port}",
            "kafka_username": "admin",
        }
        return _settings("jobs", values) | {"XINDUN_SECRETS_DIR": str(self.secrets / "jobs")}

    def socket_directory(self) -> Path:
        """Return the directory of PostgreSQL's socket."""
        return EmbeddedPostgres(self.directory / "postgresql", self.of("postgresql")[0].port).socket_dir


def _settings(member: str, values: Mapping[str, str]) -> dict[str, str]:
    return {f"XINDUN_{member}_{name}".upper(): value for name, value in values.items()}


class _Ports:
    """Ports that stay the same from start to start, unless another process has taken one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}

    def of(self, name: str, count: int = 1) -> int:
        """Return the first of `count` consecutive free ports."""
        port = self._known.get(name)
        for _ in range(1000):
            if (
                port is not None
                and all(_free(each) for each in range(port, port + count))
                and not self._overlaps(name, port, count)
            ):
                self._known[name] = port
                return port
            port = secrets.choice(PORTS)
        raise RuntimeError("no free port")

    def _overlaps(self, name: str, port: int, count: int) -> bool:
        return any(
            abs(port - other) < max(count, LISTENER_COUNT) for known, other in self._known.items() if known != name
        )

    def store(self) -> None:
        """Write the ports to the file."""
        temporary = self._file.with_suffix(".new")
        temporary.write_text(json.dumps(self._known, indent=1))
        temporary.replace(self._file)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def replica_counts() -> dict[str, int]:
    """Return the numbers of processes that the environment sets: `GATEWAYS=2 DATASHARE=3`."""
    names = {"gateway": "GATEWAYS"} | {service: service.upper() for service in SERVICES}
    return {kind: int(os.environ.get(name) or 1) for kind, name in names.items()}
