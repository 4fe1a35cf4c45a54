"""Kill -9 of the embedded platform at random points of the scenario: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import asyncpg
import httpx
import pytest

from demo.actors import first_administrator
from demo.runner import Runner, StepFailedError
from demo.scenario import Scenario
from demo.steps import run_scenario
from deploy.embedded_platform import Secrets
from tests.faults.consistency_checks import ConsistencyChecks
from tests.faults.retrying_client import RetryingTransport, lost_once
from tests.harness.embedded_platform import EmbeddedPlatform

SETTLES_WITHIN = 60.0


class Restarting:
    """Kills the platform after random times and starts it again, until it was killed `kills` times."""

    def __init__(self, platform: EmbeddedPlatform, rng: random.Random, kills: int) -> None:
        self.platform, self.rng, self.left = platform, rng, kills
        self._up = asyncio.Event()
        self.starts: list[float] = []

    async def running(self) -> None:
        await asyncio.sleep(0)
        await self._up.wait()

    async def run(self) -> None:
        while True:
            self.starts.append(await asyncio.to_thread(self.platform.start))
            self._up.set()
            if self.left == 0:
                return
            pause = asyncio.Event()
            try:
                await asyncio.wait_for(pause.wait(), self.rng.uniform(0.02, 1.0))
            except TimeoutError:
                self._up.clear()
                await asyncio.to_thread(self.platform.kill)
                self.left -= 1


@pytest.mark.timeout(900)
@pytest.mark.clause("12.4")
@pytest.mark.parametrize("kills", [8, pytest.param(50, marks=pytest.mark.long)])
async def test_killed_again_and_again_the_life_goes_on_and_every_effect_is_there_exactly_once(
    tmp_path: Path, kills: int
):
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    platform = EmbeddedPlatform(tmp_path / "data")
    await asyncio.to_thread(platform.start)
    people = json.loads(platform.first_administrators())
    authority = first_administrator("authority", people["authority"], rng)
    center = first_administrator("center", people["center"], rng)
    async with httpx.AsyncClient(base_url=platform.url, timeout=30) as client:
        for person in (authority, center):  # no later scenario could begin without them
            await person.activate(Runner(client))
    platform.kill()
    restarting = Restarting(platform, rng, kills)
    killing = asyncio.create_task(restarting.run())
    scenarios: list[Path] = []
    try:
        transport = RetryingTransport(platform.url, again=restarting.running)
        async with httpx.AsyncClient(transport=transport, base_url=platform.url, timeout=30) as client:
            while restarting.left or not scenarios:
                # Each kill makes every effect wait for the next start; several may come while one step waits.
                story = Runner(client, effect_timeout=SETTLES_WITHIN)
                out = Path(tempfile.mkdtemp(prefix="scenario-", dir=tmp_path))
                try:
                    await run_scenario(Scenario(story, rng, authority, center, out, short_grant_seconds=None))
                except StepFailedError:
                    if not lost_once(story.steps[-1]):
                        raise
                else:
                    scenarios.append(out)
        await killing
        verify = [sys.executable, "-I", str(scenarios[-1] / "verify.py"), str(scenarios[-1] / "evidence")]
        verified = await asyncio.to_thread(subprocess.run, verify, capture_output=True, check=False)
        assert verified.returncode == 0, (seed, verified.stdout)
        async with ConsistencyChecks.open(lambda service: _reader(platform, service)) as checks:
            await checks.settled(SETTLES_WITHIN)
            assert await checks.findings(transport.acknowledged) == [], seed
    finally:
        killing.cancel()
        if platform.process and platform.process.poll() is None:
            platform.stop()


async def _reader(platform: EmbeddedPlatform, service: str) -> asyncpg.Connection:
    role = f"{service}_app"
    password = Secrets.of(platform.directory).roles[role]
    return await asyncpg.connect(
        user=role, password=password, database=service, host=str(platform.directory / "socket")
    )
