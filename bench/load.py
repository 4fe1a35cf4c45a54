"""A load, in a process of its own: `python -m bench.load`, its description on standard input, what it saw on standard output.

A bare client, so that it takes little of the machine that it measures: answers must carry their length.
"""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

import uvloop

__all__ = ["Load", "Seen", "percentile", "put"]

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length: "


@dataclass(frozen=True)
class Load:
    """Requests (their bytes as text), sent in turn over `connections` kept-alive connections for `seconds`."""

    host: str
    port: int
    requests: list[str]
    connections: int
    seconds: float


@dataclass(frozen=True)
class Seen:
    """Answers by status, a second's worth of them, and milliseconds: median and 99 of 100."""

    statuses: dict[str, int]
    rate: float
    p50: float
    p99: float

    @property
    def count(self) -> int:
        """All answers."""
        return sum(self.statuses.values())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that `share` of all do not exceed (nearest rank)."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def put(load: Load) -> Seen:
    """Put the load on from a process of its own, and return what it saw."""
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), capture_output=True, text=True, check=True)
    return Seen(**json.loads(done.stdout))


class _Client(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._begun = 0.0
        self._got = b""
        self._need = -1
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def _ask(self) -> None:
        self._got, self._need = b"", -1
        self._begun = time.perf_counter()
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._need < 0:
            end = self._got.find(HEAD_END)
            if end < 0:
                return
            head = self._got[:end].lower()
            place = head.find(LENGTH)
            length = int(head[place + len(LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            self._need = end + len(HEAD_END) + length
        if len(self._got) >= self._need:
            now = time.perf_counter()
            self._run.took.append(now - self._begun)
            self._run.statuses[self._got[9:12].decode()] += 1
            if now < self._run.until:
                self._ask()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or time.perf_counter() < self._run.until:
            self._run.statuses["lost"] += 1
        self._run.left -= 1
        if not self._run.left:
            self._run.ended.set()


class _Run:
    def __init__(self, load: Load) -> None:
        self.requests = cycle([request.encode() for request in load.requests])
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.left = load.connections
        self.ended = asyncio.Event()
        self.until = 0.0


async def _run(load: Load) -> Seen:
    run = _Run(load)
    begun = time.perf_counter()
    run.until = begun + load.seconds
    loop = asyncio.get_running_loop()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Client(run), load.host, load.port)
    await run.ended.wait()
    seconds = time.perf_counter() - begun
    p50, p99 = (percentile(run.took, share) * 1000 for share in (0.5, 0.99))
    return Seen(dict(run.statuses), len(run.took) / seconds, p50, p99)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(Load(**json.load(sys.stdin)))))))
