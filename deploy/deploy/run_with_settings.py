"""Runs a command with the settings of one component: `python -m deploy.run_with_settings COMPONENT COMMAND …`.

`COMPONENT` is a service, `gateway`, `jobs` (set-up commands), or `postgres` (PostgreSQL's programs as the superuser).
`XINDUN_DATA` names the data directory (`.data`).
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from common.contracts.services import SERVICES
from deploy.embedded_postgres import bin_dir
from deploy.topology import PROCESS_TABLE, ROOT, Topology

COMPONENTS = (*SERVICES, "gateway", "jobs", "postgres")


def component_settings(topology: Topology, component: str) -> dict[str, str]:
    """Return the environment variables of `component`."""
    if component == "jobs":
        return topology.setup_environment()
    if component == "postgres":
        # Without TLS and password: the superuser connects through the socket only.
        port = str(topology.of("postgresql")[0].port)
        return {"PGHOST": str(topology.socket_directory()), "PGPORT": port, "PGUSER": "postgres"}
    return topology.environment(topology.of(component)[0])


def _search_path(variables: Mapping[str, str]) -> str:
    """Return PATH, with the directories of our Python and of PostgreSQL's programs first."""
    return os.pathsep.join([str(Path(sys.executable).parent), str(bin_dir()), variables.get("PATH", os.defpath)])


def main() -> None:
    """Execute the command."""
    if len(sys.argv) < 3 or sys.argv[1] not in COMPONENTS:  # noqa: PLR2004 - component and command
        sys.exit(f"python -m deploy.run_with_settings {'|'.join(COMPONENTS)} COMMAND …")
    component, command = sys.argv[1], sys.argv[2:]
    data = Path(os.environ.get("XINDUN_DATA", ROOT / ".data")).resolve()
    if not (data / PROCESS_TABLE).exists():
        sys.exit(f"{data} 上没有独立进程在运行 / no local processes run on it")
    environment = (
        dict(os.environ) | component_settings(Topology.running(data), component) | {"PATH": _search_path(os.environ)}
    )
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        sys.exit(f"没有此命令 / no such command: {command[0]}")
    os.execve(program, command, environment)  # noqa: S606 - without a shell


if __name__ == "__main__":
    main()
