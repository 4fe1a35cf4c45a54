"""Run a command with the settings of one component: `python -m deploy.run_with_settings COMPONENT COMMAND …`.

`WHOM` is a service, `gateway`, `jobs`, or `postgres`: the superuser with PostgreSQL's own programs, and where the server is.
`XINDUN_DATA` names the data directory (`.data`).
"""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from common.contracts.services import SERVICES
from deploy.embedded_postgres import programs
from deploy.topology import ROOT, TABLE, Layout

__all__ = ["main", "settings_of"]

WHOM = (*SERVICES, "gateway", "jobs", "postgres")


def settings_of(layout: Layout, whom: str) -> dict[str, str]:
    """Return what a command for `whom` is told."""
    if whom == "jobs":
        return layout.jobs_environment()
    if whom == "postgres":
        # Without TLS and without a password: the superuser comes through the socket alone.
        port = str(layout.of("postgresql")[0].port)
        return {"PGHOST": str(layout.socket_directory()), "PGPORT": port, "PGUSER": "postgres"}
    return layout.environment(layout.of(whom)[0])


def _path(known: Mapping[str, str]) -> str:
    """Return where commands are looked for: beside our Python first, and among PostgreSQL's programs."""
    return os.pathsep.join([str(Path(sys.executable).parent), str(programs()), known.get("PATH", os.defpath)])


def main() -> None:
    """Become the command."""
    if len(sys.argv) < 3 or sys.argv[1] not in WHOM:  # noqa: PLR2004 - whom, and a command
        sys.exit(f"python -m deploy.run_with_settings {'|'.join(WHOM)} COMMAND …")
    whom, command = sys.argv[1], sys.argv[2:]
    data = Path(os.environ.get("XINDUN_DATA", ROOT / ".data")).resolve()
    if not (data / TABLE).exists():
        sys.exit(f"{data} 上没有独立进程在运行 / no platform by processes runs on it")
    environment = dict(os.environ) | settings_of(Layout.running(data), whom) | {"PATH": _path(os.environ)}
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        sys.exit(f"没有此命令 / no such command: {command[0]}")
    os.execve(program, command, environment)  # noqa: S606 - no shell is meant


if __name__ == "__main__":
    main()
