"""HTTP load generator: `python -m bench.load` reads a `Load` from standard input and writes a `LoadResult`.

A minimal client, so that it takes little of the measured machine. Responses must have a Content-Length.
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

HEAD_END = b"\r\n\r\n"
CONTENT_LENGTH = b"content-length: "


@dataclass(frozen=True)
class Load:
    """Requests (as text), sent in turn over `connections` keep-alive connections for `seconds`."""

    host: str
    port: int
    requests: list[str]
    connections: int
    seconds: float


@dataclass(frozen=True)
class LoadResult:
    """Responses by status, responses per second, and the latency in milliseconds (median and 99th percentile)."""

    statuses: dict[str, int]
    rate: float
    p50: float
    p99: float

    @property
    def count(self) -> int:
        """The number of responses."""
        return sum(self.statuses.values())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the percentile by nearest rank; `share` is 0.99 for the 99th."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def run_load(load: Load) -> LoadResult:
    """Run the load in a child process."""
    command = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(command, input=json.dumps(asdict(load)), capture_output=True, text=True, check=True)
    return LoadResult(**json.loads(done.stdout))


class _Client(asyncio.Protocol):
    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._sent_at = 0.0
        self._received = b""
        self._expected_bytes = -1
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._received, self._expected_bytes = b"", -1
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._run.requests))

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._expected_bytes < 0:
            end = self._received.find(HEAD_END)
            if end < 0:
                return
            head = self._received[:end].lower()
            place = head.find(CONTENT_LENGTH)
            length = int(head[place + len(CONTENT_LENGTH) :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            self._expected_bytes = end + len(HEAD_END) + length
        if len(self._received) >= self._expected_bytes:
            now = time.perf_counter()
            self._run.latencies.append(now - self._sent_at)
            self._run.statuses[self._received[9:12].decode()] += 1
            if now < self._run.until:
                self._send()
            else:
                self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None or time.perf_counter() < self._run.until:
            self._run.statuses["lost"] += 1
        self._run.open_connections -= 1
        if not self._run.open_connections:
            self._run.ended.set()


class _Run:
    def __init__(self, load: Load) -> None:
        self.requests = cycle([request.encode() for request in load.requests])
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.open_connections = load.connections
        self.ended = asyncio.Event()
        self.until = 0.0


async def _run(load: Load) -> LoadResult:
    run = _Run(load)
    started = time.perf_counter()
    run.until = started + load.seconds
    loop = asyncio.get_running_loop()
    for _ in range(load.connections):
        await loop.create_connection(lambda: _Client(run), load.host, load.port)
    await run.ended.wait()
    seconds = time.perf_counter() - started
    p50, p99 = (percentile(run.latencies, share) * 1000 for share in (0.5, 0.99))
    return LoadResult(dict(run.statuses), len(run.latencies) / seconds, p50, p99)


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(_run(Load(**json.load(sys.stdin)))))))
