"""`make bench`: starts separate processes on new data, measures, prints, and appends to `bench/history.jsonl`."""

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

from bench import end_to_end, gateway_peers, single_service
from bench.fixtures import build_fixtures
from bench.harness import Figure, Harness
from deploy.platform_process import PlatformProcess

HISTORY = Path(__file__).with_name("history.jsonl")
GATEWAY_COUNT = 10
"""The largest revocation figure needs ten; for the other figures all but one are stopped."""

FIGURES: dict[str, Callable[[Harness], Awaitable[None]]] = {
    "breach": end_to_end.breach,
    "effects": end_to_end.effects,
    "revocation": end_to_end.revocation,
    "gateway": single_service.gateway,
    "query": single_service.query,
    "tokens": single_service.tokens,
    "appends": end_to_end.appends,
    "memory": single_service.memory,
}
"""In the order of measurement: `query` adds 16 grants, and each breach suspends and probes all grants in its scope."""
GATEWAY_PEERS = "gateway-peers"
"""Measured before the platform starts: it compares the gateway with nginx, both before the same upstream."""


async def _measure(platform: PlatformProcess, started: float, names: list[str], figures: list[Figure]) -> list[str]:
    """Measure the figures; return the errors of those that failed."""
    failed = []
    async with httpx.AsyncClient(base_url=platform.url, timeout=60) as client:
        harness = Harness(platform, await build_fixtures(client, platform.first_administrators()), figures)
        harness.record("start-up to ready, fresh data", "s", [started])
        for gateway in platform.topology().of("gateway")[1:]:
            platform.control("stop", f"gateways:{gateway.name}")
        for name in [*(name for name in names if name != "memory"), "memory"]:
            print(f"  … {name}", file=sys.stderr, flush=True)
            try:
                await harness.refresh_tokens()
                await FIGURES[name](harness)
            except Exception as error:  # noqa: BLE001 - the other figures are still wanted
                traceback.print_exc()
                failed.append(f"{name}: {type(error).__name__}: {error}")
    return failed


def _print(figures: list[Figure]) -> None:
    print(f"\n{'':<58}{'min':>10}{'median':>10}{'max':>10}  unit  goal")
    for figure in figures:
        values = "".join(f"{value:>10,.1f}" for value in figure.spread())
        print(f"{figure.name:<58}{values}  {figure.unit:<5} {figure.goal}")


def _append_to_history(figures: list[Figure]) -> None:
    """Append a line with the commit."""
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    row = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": f"{machine.machine()}, {psutil.cpu_count()} cores, load {psutil.getloadavg()[0]:.1f}",
        "python": machine.python_version(),
        "figures": {
            figure.name: {"unit": figure.unit, "values": [round(v, 2) for v in figure.values]} for figure in figures
        },
    }
    with HISTORY.open("a") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _measure_platform(names: list[str], figures: list[Figure]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="xindun-bench-") as directory:
        platform = PlatformProcess(Path(directory), gateway=GATEWAY_COUNT if "revocation" in names else 1)
        try:
            return asyncio.run(_measure(platform, platform.start(), names, figures))
        finally:
            platform.stop()


def main() -> None:
    """Measure, print and append."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "figures", nargs="*", choices=[GATEWAY_PEERS, *FIGURES, []], help="the figures to measure; all if none is given"
    )
    options = parser.parse_args()
    wanted = options.figures or [GATEWAY_PEERS, *FIGURES]
    figures = gateway_peers.measure() if GATEWAY_PEERS in wanted else []
    failed = []
    try:
        if names := [name for name in FIGURES if name in wanted]:
            failed = _measure_platform(names, figures)
    finally:
        if figures:
            _print(figures)
            _append_to_history(figures)
    if failed:
        sys.exit("not measured:\n  " + "\n  ".join(failed))


if __name__ == "__main__":
    main()
