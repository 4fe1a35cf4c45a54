"""What can befall a process, and the wait until the platform is whole again."""

import asyncio
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.harness.process_platform import ProcessPlatform

KINDS = ("kill", "stop", "term")
STOPPED_FOR = 10.0
"""Seconds of a SIGSTOP."""

MAX_PAUSE = 2.0
"""Most seconds between one recovery and the next fault."""


@dataclass
class Faults:
    """Faults of one run: which, of whom and when is the seed's."""

    platform: ProcessPlatform
    rng: random.Random
    stopped_for: float = STOPPED_FOR
    log: Callable[[str], None] = print
    done: dict[str, int] = field(default_factory=dict)
    longest: float = 0.0

    async def one(self, kind: str | None = None, name: str | None = None) -> None:
        """Let one fault befall one process, and return when everything is ready again."""
        name = name or self.rng.choice(sorted(self.platform.table()))
        kind = kind or self.rng.choice(KINDS)
        await asyncio.sleep(self.rng.uniform(0, MAX_PAUSE))
        started_at = time.monotonic()
        if kind == "stop":
            with self.platform.stopped(name):
                await asyncio.sleep(self.stopped_for)
        else:
            pid = self.platform.signal(name, self._number(kind, name))
            await self.platform.replaced(name, pid)
        await self.platform.ready()
        seconds = time.monotonic() - started_at
        self.longest = max(self.longest, seconds)
        self.done[f"{kind} {name}"] = self.done.get(f"{kind} {name}", 0) + 1
        self.log(f"{kind} {name}: whole again after {seconds:.1f} s")

    @staticmethod
    def _number(kind: str, name: str) -> signal.Signals:
        if kind == "kill":
            return signal.SIGKILL
        # PostgreSQL takes SIGTERM as "when everybody has left"; this is its order to end now.
        return signal.SIGINT if name == "postgresql" else signal.SIGTERM
