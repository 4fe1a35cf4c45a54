"""Every process is told to end, one after the other, under load: not one request is lost."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.faults.chaos_harness import ChaosHarness
from tests.harness.client import bearer
from tests.harness.process_platform import ProcessPlatform
from tests.platform.harness import Unit

CLIENTS = 4
POLL_INTERVAL = 0.25


class LoadBalancer:
    """Sends requests to gateways that say they are ready, as any load balancer in front of them does."""

    def __init__(self, platform: ProcessPlatform) -> None:
        self._clients = {url: httpx.AsyncClient(base_url=url, timeout=60) for url in platform.gateways()}
        self._ready: list[str] = []
        self._turn = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, platform: ProcessPlatform) -> AsyncIterator["LoadBalancer"]:
        balancer = cls(platform)
        await balancer._look()
        watching = asyncio.create_task(balancer._watch())
        try:
            yield balancer
        finally:
            watching.cancel()
            for client in balancer._clients.values():
                await client.aclose()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_INTERVAL)
            await self._look()

    async def _look(self) -> None:
        ready = []
        for url, client in self._clients.items():
            with contextlib.suppress(httpx.TransportError):
                if (await client.get("/ready")).status_code == 200:
                    ready.append(url)
        self._ready = ready

    async def request(self, method: str, path: str, **more) -> str:
        """Return the status of the answer and, where it is a problem, which; the name of the error where there is none."""
        if not self._ready:
            await asyncio.sleep(POLL_INTERVAL)
            return "no gateway is ready"
        self._turn += 1
        client = self._clients[self._ready[self._turn % len(self._ready)]]
        try:
            answer = await client.request(method, path, **more)
        except httpx.TransportError as error:
            return type(error).__name__
        return str(answer.status_code) + ("" if answer.is_success else f" {answer.json()['type']}")


@pytest.mark.kafka
@pytest.mark.timeout(1500)
@pytest.mark.long
async def test_a_rolling_restart_under_load_loses_no_request(harness: ChaosHarness):
    """No write carries an Idempotency-Key, so that one whose outcome nobody knows would show."""
    platform, unit = harness.processes, await harness.unit()
    answers: Counter[str] = Counter()
    over = asyncio.Event()

    async def use(balancer: LoadBalancer) -> None:
        while not over.is_set():
            answers[await _read(balancer, unit)] += 1
            answers[await _write(harness, balancer, unit)] += 1

    async with LoadBalancer.running(platform) as balancer, asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(use(balancer))
        for name in platform.serving():
            pid = platform.signal(name, signal.SIGTERM)
            await platform.replaced(name, pid)
            await platform.ready()
        over.set()
    assert set(answers) == {"200"}, answers
    await harness.settle()
    assert await harness.checks.findings(harness.transport.acknowledged) == []


async def _read(balancer: LoadBalancer, unit: Unit) -> str:
    return await balancer.request("GET", "/identity/me", headers=bearer(unit.system.access_token))


async def _write(harness: ChaosHarness, balancer: LoadBalancer, unit: Unit) -> str:
    return await balancer.request(
        "POST", "/datashare/queries", json=harness.asked(unit), headers=bearer(unit.system.access_token)
    )
