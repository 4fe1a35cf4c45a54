"""`make admins`: the first administrators of the platform that runs on a data directory, once; prints their codes."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from deploy import bootstrap as first_administrators
from deploy.topology import ROOT, TABLE, Layout

__all__ = ["main"]


def main() -> None:
    """`python -m deploy.administrators [--data DIR | --compose] [--people FILE]`; see `identity.bootstrap` for the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("XINDUN_DATA", ".data")))
    parser.add_argument("--people", type=Path)
    parser.add_argument("--compose", action="store_true", help="on the platform that runs in containers")
    options = parser.parse_args()
    data = options.data.resolve()
    if not options.compose and not (data / TABLE).exists():
        first_administrators.main()
        return
    people = options.people.read_text() if options.people else json.dumps(first_administrators.invented())
    command, settings = ["-m", "identity.bootstrap", "--people", "-"], dict(os.environ)
    if options.compose:
        command = ["docker", "compose", "run", "--rm", "--no-TTY", "--no-deps", "identity", "python", *command]
    else:
        layout = Layout.running(data)
        command = [sys.executable, *command]
        settings |= layout.environment(layout.of("identity")[0])
    made = subprocess.run(command, cwd=ROOT, env=settings, input=people, text=True, check=False)
    sys.exit(made.returncode)


if __name__ == "__main__":
    main()
