"""Kill -9 of the embedded platform at random points of the life: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import json
import random
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import asyncpg
import httpx
import pytest

from demo.__main__ import administrator
from demo.life import Life
from demo.play import play
from demo.story import Story
from gateway.all_in_one import Secrets
from tests.deployment.embedded import EmbeddedPlatform

KILLS = 50
SERVICES = ("identity", "datashare", "incident", "audit")


class PatientTransport(httpx.AsyncHTTPTransport):
    """As a careful client: repeats a request that got no answer, or a 503, under the same Idempotency-Key."""

    def __init__(self, platform: "Restarting") -> None:
        super().__init__()
        self._platform = platform

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method in ("POST", "PUT") and "Idempotency-Key" not in request.headers:
            request.headers["Idempotency-Key"] = str(uuid.uuid4())
        body = await request.aread()
        while True:
            attempt = httpx.Request(request.method, request.url, headers=request.headers, content=body)
            attempt.extensions = request.extensions
            try:
                response = await super().handle_async_request(attempt)
                content = await response.aread()
            except httpx.TransportError:
                await self._platform.running()
                continue
            if response.status_code == 503:
                await self._platform.running()
                continue
            return httpx.Response(response.status_code, headers=response.headers, content=content)


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
async def test_killed_fifty_times_the_life_goes_on_and_every_effect_is_there_exactly_once(tmp_path: Path):
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    platform = EmbeddedPlatform(tmp_path / "data")
    await asyncio.to_thread(platform.start)
    people = json.loads(platform.first_administrators())
    platform.kill()
    restarting = Restarting(platform, rng, KILLS)
    killing = asyncio.create_task(restarting.run())
    lives: list[Story] = []
    try:
        authority = administrator("authority", people["authority"], rng)
        center = administrator("center", people["center"], rng)
        async with httpx.AsyncClient(
            transport=PatientTransport(restarting), base_url=platform.url, timeout=30
        ) as client:
            while restarting.left or not lives:
                story = Story(client)
                out = tmp_path / f"life-{len(lives)}"
                out.mkdir()
                await play(Life(story, rng, authority, center, out, short_term=None))
                lives.append(story)
        await killing
        verify = [sys.executable, "-I", str(out / "verify.py"), str(out / "evidence")]
        verified = await asyncio.to_thread(subprocess.run, verify, capture_output=True, check=False)
        assert verified.returncode == 0, (seed, verified.stdout)
        await _check(platform)
    finally:
        killing.cancel()
        if platform.process and platform.process.poll() is None:
            platform.stop()


async def _published(service: str, connection: asyncpg.Connection) -> None:
    """Wait until the service's relay has nothing left."""
    for _ in range(2000):
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL)"):
            return
    raise AssertionError(f"{service} still has something to publish")


async def _check(platform: EmbeddedPlatform) -> None:
    """What each service said is in the log exactly once, without a gap; no event waits or is dead."""
    known = Secrets.of(platform.directory)
    socket = platform.directory / "socket"
    connections = {}
    for service in SERVICES:
        role = f"{service}_app"
        connections[service] = await asyncpg.connect(
            user=role, password=known.roles[role], database=service, host=str(socket)
        )
    for service, connection in connections.items():
        await _published(service, connection)
    logged = Counter(
        (row["source"], row["sequence"])
        for row in await connections["audit"].fetch("SELECT source, sequence FROM leaves")
    )
    assert set(logged.values()) == {1}
    for service, connection in connections.items():
        said = [
            row["sequence"] for row in await connection.fetch("SELECT sequence FROM outbox WHERE sequence IS NOT NULL")
        ]
        assert sorted(said) == list(range(1, len(said) + 1)), service
        assert {sequence for source, sequence in logged if source == f"/{service}"} == set(said), service
        if service != "audit":
            assert await connection.fetchval("SELECT count(*) FROM inbox WHERE status <> 'done'") == 0, service
        await connection.close()
