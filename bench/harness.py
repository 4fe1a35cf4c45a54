"""Puts loads on one platform of separate processes, and records the figures."""

import asyncio
import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil

from bench.fixtures import Fixtures
from bench.load import Load, LoadResult, run_load
from deploy.platform_process import PlatformProcess

ROUNDS = 5
ROUND_SECONDS = 3.0
CONNECTIONS = 16


@dataclass(frozen=True)
class Figure:
    """One figure: a value for each round, in `unit`; `goal` as text."""

    name: str
    unit: str
    values: list[float]
    goal: str = ""

    def spread(self) -> tuple[float, float, float]:
        """Return minimum, median and maximum."""
        return min(self.values), median(self.values), max(self.values)


@dataclass
class Harness:
    """The platform, the fixtures on it, and the figures so far."""

    platform: PlatformProcess
    fixtures: Fixtures
    figures: list[Figure] = field(default_factory=list)

    def record(self, name: str, unit: str, values: Sequence[float], goal: str = "") -> None:
        """Record a figure."""
        self.figures.append(Figure(name, unit, list(values), goal))

    def load(self, name: str, requests: Sequence[bytes], *, connections: int = CONNECTIONS) -> LoadResult:
        """Send requests to a process. Raises `RuntimeError` if a response is lost or has status 500."""
        port = self.platform.table()[name]["port"]
        texts = [request.decode() for request in requests]
        result = run_load(Load("127.0.0.1", port, texts, connections, ROUND_SECONDS))
        if "lost" in result.statuses or result.statuses.get("500"):
            raise RuntimeError(f"responses of {name}: {result.statuses}")
        return result

    def run_rounds(
        self, name: str, requests: Sequence[bytes], *, status: str, connections: int = CONNECTIONS
    ) -> list[LoadResult]:
        """Put a load on a process `ROUNDS` times. Raises `RuntimeError` if a response has another status."""
        rounds = [self.load(name, requests, connections=connections) for _ in range(ROUNDS)]
        if any(set(result.statuses) != {status} for result in rounds):
            raise RuntimeError(f"responses of {name}: {[result.statuses for result in rounds]}")
        return rounds

    def cpu_per_request(
        self, names: Sequence[str], measured: str, requests: Sequence[bytes], *, status: str
    ) -> tuple[list[LoadResult], dict[str, list[float]]]:
        """Return the rounds of a load, and the CPU time per response of each process of `names` in microseconds."""
        spent: dict[str, list[float]] = {name: [] for name in names}
        rounds = []
        for _ in range(ROUNDS):
            before = {name: self._cpu(name) for name in names}
            result = self.load(measured, requests)
            if set(result.statuses) != {status}:
                raise RuntimeError(f"responses of {measured}: {result.statuses}")
            for name in names:
                spent[name].append((self._cpu(name) - before[name]) / result.count * 1e6)
            rounds.append(result)
        return rounds, spent

    async def idle_cpu(self, name: str) -> list[float]:
        """Return the microseconds of CPU per second that an idle process takes."""
        spent = []
        for _ in range(ROUNDS):
            before = self._cpu(name)
            await asyncio.sleep(ROUND_SECONDS)
            spent.append((self._cpu(name) - before) / ROUND_SECONDS * 1e6)
        return spent

    def _cpu(self, name: str) -> float:
        """Return the CPU seconds of a process so far, PostgreSQL's with its children."""
        process = psutil.Process(self.platform.pid(name))
        processes = [process, *(process.children() if name == "postgresql" else [])]
        total = 0.0
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system
        return total

    async def refresh_tokens(self) -> None:
        """Refresh all access tokens, which expire after ten minutes."""
        scenario = self.fixtures.scenario
        with contextlib.redirect_stdout(io.StringIO()):
            for person in (scenario.authority, scenario.center, scenario.unit_admin):
                await person.refresh(scenario.runner)
