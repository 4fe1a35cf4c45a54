"""The clock of one process is half a minute off: revoked is revoked there, too, and what was accepted is told in its place."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from deploy.platform_process import free_port
from tests.faults.chaos_harness import PATHS, ChaosHarness
from tests.faults.token_race import Endpoint, race
from tests.harness.client import bearer
from tests.harness.process_platform import ProcessPlatform

INSTANCE = "9"
SHIFT = """
import time
from datetime import datetime, timedelta
_time = time.time
time.time = lambda: _time() + {seconds}
from common.clock import SystemClock
_now = SystemClock.now
SystemClock.now = lambda self: _now(self) + timedelta(seconds={seconds})
"""
"""What the interpreter of that process runs first: all its clocks but the monotonic one are off."""


@contextlib.asynccontextmanager
async def _replica(platform: ProcessPlatform, kind: str, seconds: int, place: Path) -> AsyncIterator[int]:
    """One more replica of a service, whose clock is off; gives its port."""
    (place / "sitecustomize.py").write_text(SHIFT.format(seconds=seconds))
    port, prefix = free_port(), f"XINDUN_{kind.upper()}"
    environment = platform.environment(kind) | {f"{prefix}_INSTANCE": INSTANCE, f"{prefix}_PORT": str(port)}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
    with (platform.logs / f"{kind}-{INSTANCE}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", kind, env=environment, stdout=log, stderr=log
        )
    try:
        await _ready(port, process)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _ready(port: int, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient(timeout=10) as client, asyncio.timeout(300):
        while process.returncode is None:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"http://127.0.0.1:{port}/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    raise AssertionError("it ended")


@pytest.mark.kafka
@pytest.mark.timeout(1200)
@pytest.mark.long
@pytest.mark.clause("6.5")
@pytest.mark.parametrize("seconds", [30, -30])
async def test_a_point_whose_clock_is_off_refuses_what_was_revoked_and_nothing_else(
    harness: ChaosHarness, tmp_path: Path, seconds: int
):
    unit = await harness.unit()
    async with _replica(harness.processes, "datashare", seconds, tmp_path) as port:
        off = Endpoint(f"datashare-{INSTANCE}", port, PATHS["datashare"])
        for _ in range(3):
            outcome = await race(
                [*harness.endpoints(), off], unit.system.access_token, lambda: harness.suspend(unit.admin, unit.system)
            )
            assert outcome.violations == []
            assert f"datashare-{INSTANCE}" in outcome.acknowledgement["receipts"]
            await harness.revive(unit.admin, unit.system)
        off.close()
        # A token that is younger than the clocks are apart is from the future there: refused, until it is old enough.
        expected = 401 if seconds < 0 else 200
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            fresh = await client.get(PATHS["datashare"], headers=bearer(unit.system.access_token))
            assert fresh.status_code == expected, fresh.text
            async with asyncio.timeout(90):
                while (
                    await client.get(PATHS["datashare"], headers=bearer(unit.system.access_token))
                ).status_code != 200:
                    await asyncio.sleep(0.5)
            answer = await harness.query(unit, unit.system.access_token, client)
        assert answer.status_code == 200, answer.text
    await harness.settle()
    assert await harness.checks.findings(harness.transport.acknowledged) == []
