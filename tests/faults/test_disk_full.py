"""The disk of PostgreSQL is full: writes are refused with 503, nothing that was answered is lost, and room heals it."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.chaos_harness import ChaosHarness
from tests.harness.client import bearer, slug
from tests.harness.process_platform import ProcessPlatform

SIZE = 512 << 20
SPARE = 128 << 10


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[None]:
    """Mount a file system of `SIZE` bytes."""
    place.mkdir(parents=True, mode=0o711)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0711", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("a file system of limited size takes the right to mount: run this as root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
async def small() -> AsyncIterator[ChaosHarness]:
    """A platform, one of each kind, whose PostgreSQL has a small disk of its own."""
    if os.geteuid():
        pytest.skip("a file system of limited size takes the right to mount: run this as root")
    with tempfile.TemporaryDirectory(prefix="xindun-full-", ignore_cleanup_errors=True) as directory:
        data = Path(directory) / "data"
        with _small_disk(data / "processes" / "postgresql"):
            platform = ProcessPlatform(data)
            try:
                await asyncio.to_thread(platform.start)
                await platform.ready()
                async with ChaosHarness.open(platform, 1) as harness:
                    yield await harness.begin()
            finally:
                await asyncio.to_thread(platform.stop)


def _fill(disk: Path) -> Path:
    """Fill the disk but for a little."""
    ballast = disk / "ballast"
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - SPARE))
    return ballast


@pytest.mark.kafka
@pytest.mark.timeout(900)
@pytest.mark.long
async def test_a_full_disk_refuses_writes_with_503_and_room_heals_everything(small: ChaosHarness):
    platform, unit = small.processes, await small.unit()
    await small.settle()
    pids = {name: platform.pid(name) for name in platform.serving()}
    ballast = _fill(platform.directory / "processes" / "postgresql")
    answered: list[str] = []
    refused: set[tuple[int, str | None]] = set()
    try:
        async with (
            httpx.AsyncClient(base_url=platform.process_url("datashare"), timeout=60) as client,
            asyncio.timeout(240),
        ):
            while not refused or len(answered) > 100_000:
                answer = await client.post(
                    "/datashare/queries", json=small.asked(unit), headers=bearer(unit.system.access_token)
                )
                if answer.status_code == 200:
                    answered.append(answer.headers["x-request-id"])
                else:
                    refused.add((answer.status_code, slug(answer)))
    finally:
        ballast.unlink()
    assert refused == {(503, "database-unavailable")}
    await platform.ready()
    answer = await small.query(unit, unit.system.access_token)
    assert answer.status_code == 200, answer.text
    await small.settle()
    assert {name: platform.pid(name) for name in platform.serving()} == pids
    assert await small.checks.findings(small.transport.acknowledged) == []
    async with platform.database("audit") as audit:
        recorded = {row["requestid"] for row in await audit.fetch("SELECT requestid FROM leaves")}
    assert [request_id for request_id in answered if request_id not in recorded] == []
