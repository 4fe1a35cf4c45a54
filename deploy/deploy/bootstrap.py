"""Creates the first administrators of a running embedded platform, once, and prints their activation codes.

Without `--people` (see `identity.bootstrap`) they are two invented persons, which is enough to try the platform.
"""

import argparse
import asyncio
import json
import os
import random
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from stdnum.cn import ric

from common.problems import Problem
from deploy.embedded_platform import Secrets, identity_settings
from deploy.embedded_postgres import database_url
from identity.bootstrap import FirstPeople, bootstrap, command_runtime

NAMES = {"authority": "郑明远", "center": "苏晓岚"}


def sample_people() -> dict[str, Any]:
    """Return two persons with well-formed ID numbers."""
    people = {}
    for role, name in NAMES.items():
        born = date(1985, 1, 1) + timedelta(days=random.randrange(3650))  # noqa: S311 - a sample, no secret
        body = f"350203{born:%Y%m%d}{random.randrange(1000):03d}"  # noqa: S311
        people[role] = {"name": name, "id_number": body + ric.calc_check_digit(body + "0")}
    return people


async def _create(directory: Path, people: FirstPeople) -> dict[str, Any]:
    secrets = Secrets.of(directory)
    # Lines of the file: pid, data directory, start, port, socket directory (PostgreSQL's miscadmin.h).
    socket = (directory / "postgres" / "postmaster.pid").read_text().splitlines()[4]
    url = database_url("identity_app", secrets.roles["identity_app"], "identity", socket)
    runtime = command_runtime(identity_settings(secrets, url))
    try:
        invited = await bootstrap(runtime, people)
    finally:
        await runtime.database.close()
    return {role: view.model_dump(mode="json") for role, view in invited.items()}


def main() -> None:
    """`python -m deploy.bootstrap [--data DIR] [--people FILE]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("XINDUN_DATA", ".data")))
    parser.add_argument("--people", type=Path)
    options = parser.parse_args()
    directory = options.data.resolve()
    if not (directory / "postgres" / "postmaster.pid").exists():
        sys.exit("平台未在此数据目录运行，请先 make run / no platform runs on this data: make run")
    people = json.loads(options.people.read_text()) if options.people else sample_people()
    try:
        invited = asyncio.run(_create(directory, FirstPeople.model_validate(people)))
    except Problem as problem:
        sys.exit(f"{problem.zh} / {problem.en}")
    print(json.dumps(invited, ensure_ascii=False, indent=2))


if __name__ == "__main__":
    main()
