"""`make admins`: creates the first administrators of a running platform, once, and prints their activation codes."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from deploy import bootstrap
from deploy.topology import PROCESS_TABLE, ROOT, Topology


def main() -> None:
    """`python -m deploy.administrators [--data DIR | --compose] [--people FILE]`; see `identity.bootstrap` for the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="data directory of the running platform",
        default=Path(os.environ.get("XINDUN_DATA", ".data")),
    )
    parser.add_argument("--people", type=Path, help="JSON file with the two persons (default: invented ones)")
    parser.add_argument("--compose", action="store_true", help="the platform runs in containers")
    options = parser.parse_args()
    data = options.data.resolve()
    if not options.compose and not (data / PROCESS_TABLE).exists():
        bootstrap.main()
        return
    people = options.people.read_text() if options.people else json.dumps(bootstrap.sample_people())
    command, settings = ["-m", "identity.bootstrap", "--people", "-"], dict(os.environ)
    if options.compose:
        command = ["docker", "compose", "run", "--rm", "--no-TTY", "--no-deps", "identity", "python", *command]
    else:
        topology = Topology.running(data)
        command = [sys.executable, *command]
        settings |= topology.environment(topology.of("identity")[0])
    process = subprocess.run(command, cwd=ROOT, env=settings, input=people, text=True, check=False)
    sys.exit(process.returncode)


if __name__ == "__main__":
    main()
