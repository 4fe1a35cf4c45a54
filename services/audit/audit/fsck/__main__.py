"""`python -m audit.fsck`: checks the whole log of the environment's settings, and names the first bad record.

Exit 0: every leaf, column, tile and checkpoint is as signed. Exit 1: the findings. Exit 2: the log could not be checked.
"""

import asyncio
import sys

from pydantic import ValidationError

from audit.fsck.check import LogFinding, check
from audit.settings import Settings
from common.problems import Unavailable
from common.storage.database import Database


async def _run(settings: Settings) -> tuple[int, list[LogFinding]]:
    database = Database.of(settings, pool_size=1)
    try:
        return await check(database, settings.signer().verifier)
    finally:
        await database.close()


def main() -> int:
    """Check; return the exit code."""
    try:
        size, found = asyncio.run(_run(Settings.load()))
    except (ValidationError, Unavailable) as error:
        print(f"无法检查 / cannot be checked: {type(error).__name__}", file=sys.stderr)
        return 2
    if not found:
        print(f"日志完好，共 {size} 条 / the log is whole: {size} entries")
        return 0
    for finding in found:
        where = "" if finding.index is None else f" {finding.index}"
        print(f"{finding.what}{where}: {finding.zh} / {finding.en}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
