"""What measures: one platform by processes, a world on it, loads from a process of their own."""

import asyncio
import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import psutil

from bench.fixtures import World
from bench.load import Load, Seen, put
from tests.harness.process_platform import ProcessPlatform

__all__ = ["ROUNDS", "Bench", "Figure"]

ROUNDS, SECONDS = 5, 3.0
CONNECTIONS = 16


@dataclass(frozen=True)
class Figure:
    """One measured thing: a value a round, in `unit`; `goal` in words."""

    name: str
    unit: str
    values: list[float]
    goal: str = ""

    def spread(self) -> tuple[float, float, float]:
        """Return least, median and most."""
        return min(self.values), median(self.values), max(self.values)


@dataclass
class Bench:
    """What measures: the platform, the world on it, and what was found."""

    platform: ProcessPlatform
    world: World
    found: list[Figure] = field(default_factory=list)

    def note(self, name: str, unit: str, values: Sequence[float], goal: str = "") -> None:
        """Keep a figure."""
        self.found.append(Figure(name, unit, list(values), goal))

    def load(self, name: str, requests: Sequence[bytes], *, connections: int = CONNECTIONS) -> Seen:
        """Put requests on a process. Raises `RuntimeError` when an answer got lost."""
        port = self.platform.table()[name]["port"]
        texts = [request.decode() for request in requests]
        seen = put(Load("127.0.0.1", port, texts, connections, SECONDS))
        if "lost" in seen.statuses or seen.statuses.get("500"):
            raise RuntimeError(f"answers of {name}: {seen.statuses}")
        return seen

    def rounds(
        self, name: str, requests: Sequence[bytes], *, status: str, connections: int = CONNECTIONS
    ) -> list[Seen]:
        """Put a load on a process `ROUNDS` times. Raises `RuntimeError` when answers have another status."""
        rounds = [self.load(name, requests, connections=connections) for _ in range(ROUNDS)]
        if any(set(seen.statuses) != {status} for seen in rounds):
            raise RuntimeError(f"answers of {name}: {[seen.statuses for seen in rounds]}")
        return rounds

    def cpu_per_answer(
        self, names: Sequence[str], measured: str, requests: Sequence[bytes], *, status: str
    ) -> tuple[list[Seen], dict[str, list[float]]]:
        """Return the rounds of a load, and for each process of `names` its microseconds of CPU an answer."""
        spent: dict[str, list[float]] = {name: [] for name in names}
        rounds = []
        for _ in range(ROUNDS):
            before = {name: self._cpu(name) for name in names}
            seen = self.load(measured, requests)
            if set(seen.statuses) != {status}:
                raise RuntimeError(f"answers of {measured}: {seen.statuses}")
            for name in names:
                spent[name].append((self._cpu(name) - before[name]) / seen.count * 1e6)
            rounds.append(seen)
        return rounds, spent

    async def cpu_at_rest(self, name: str) -> list[float]:
        """Return the microseconds of CPU that a process takes in a second when nobody asks it anything."""
        spent = []
        for _ in range(ROUNDS):
            before = self._cpu(name)
            await asyncio.sleep(SECONDS)
            spent.append((self._cpu(name) - before) / SECONDS * 1e6)
        return spent

    def _cpu(self, name: str) -> float:
        """Return the seconds of CPU that a process, and PostgreSQL's with its children, has taken."""
        process = psutil.Process(self.platform.pid(name))
        all_of_it = [process, *(process.children() if name == "postgresql" else [])]
        total = 0.0
        for each in all_of_it:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = each.cpu_times()
                total += times.user + times.system
        return total

    async def fresh(self) -> None:
        """Give everybody new tokens: the old ones end after ten minutes."""
        scenario = self.world.scenario
        with contextlib.redirect_stdout(io.StringIO()):
            for person in (scenario.authority, scenario.center, scenario.unit_admin):
                await person.refresh(scenario.runner)
