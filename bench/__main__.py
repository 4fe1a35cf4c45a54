"""`make bench`: starts the platform by processes on fresh data, measures, prints, and appends to `bench/history.jsonl`."""

import argparse
import asyncio
import json
import platform as machine
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil

from bench import end_to_end as across
from bench import single_service as figures
from bench.fixtures import build
from bench.harness import Bench, Figure
from tests.harness.process_platform import ProcessPlatform

HISTORY = Path(__file__).with_name("history.jsonl")
GATEWAYS = 10
"""As many as the largest revocation figure wants; all but one are stopped for the others."""

FIGURES: dict[str, Callable[[Bench], Awaitable[None]]] = {
    "breach": across.breach,
    "effects": across.effects,
    "revocation": across.revocation,
    "gateway": figures.gateway,
    "query": figures.query,
    "tokens": figures.tokens,
    "appends": across.appends,
    "memory": figures.memory,
}
"""In the order in which they are taken: `query` makes 16 grants more, and a breach suspends and probes each in its scope."""


async def _measure(platform: ProcessPlatform, started: float, names: list[str], found: list[Figure]) -> list[str]:
    """Take the figures, and return which could not be taken; the others do not suffer from it."""
    failed = []
    async with httpx.AsyncClient(base_url=platform.url, timeout=60) as client:
        bench = Bench(platform, await build(client, platform.first_administrators()), found)
        bench.note("start-up to ready, fresh data", "s", [started])
        for gateway in platform.layout().of("gateway")[1:]:
            platform.control("stop", f"gateways:{gateway.name}")
        for name in [*(name for name in names if name != "memory"), "memory"]:
            print(f"  … {name}", file=sys.stderr, flush=True)
            try:
                await bench.fresh()
                await FIGURES[name](bench)
            except Exception as error:  # noqa: BLE001 - whatever it was, the other figures are still worth having
                traceback.print_exc()
                failed.append(f"{name}: {type(error).__name__}: {error}")
    return failed


def _print(found: list[Figure]) -> None:
    print(f"\n{'':<58}{'least':>10}{'median':>10}{'most':>10}  unit  goal")
    for figure in found:
        values = "".join(f"{value:>10,.1f}" for value in figure.spread())
        print(f"{figure.name:<58}{values}  {figure.unit:<5} {figure.goal}")


def _keep(found: list[Figure]) -> None:
    """Append a line with the commit, so that a change shows."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    row = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": f"{machine.machine()}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}",
        "python": machine.python_version(),
        "figures": {
            figure.name: {"unit": figure.unit, "values": [round(v, 2) for v in figure.values]} for figure in found
        },
    }
    with HISTORY.open("a") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figures", nargs="*", choices=[*FIGURES, []], help="which; all without a word")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xindun-bench-") as directory:
        names = [name for name in FIGURES if name in (options.figures or FIGURES)]
        found: list[Figure] = []
        platform = ProcessPlatform(Path(directory), gateway=GATEWAYS if "revocation" in names else 1)
        try:
            failed = asyncio.run(_measure(platform, platform.start(), names, found))
        finally:
            platform.stop()
            if found:
                _print(found)
                _keep(found)
    if failed:
        sys.exit("not taken:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
