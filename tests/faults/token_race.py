"""Uses a token at every endpoint while it is revoked: no use that begins after the acknowledgement may succeed."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

UNANSWERED = 0
REFUSED = 401
UNAVAILABLE = (UNANSWERED, 502, 503, 504)
ANSWER_TERM = 30.0
"""Seconds that a use waits for its answer: longer than any process is stopped."""
PACE = 0.05
"""Seconds between uses at one endpoint until the acknowledgement, at which each is used at once: others need the machine, too."""
WARM_TERM = 3.0
"""Seconds that a race waits for the endpoints to be in use before the token is revoked."""
LAST_TERM = 5.0
"""Seconds after the acknowledgement in which a endpoint that answers "not now" is asked again."""


def accepted(status: int) -> bool:
    """Whether a endpoint that answered so accepted the token, whatever it then allowed."""
    return status != REFUSED and status not in UNAVAILABLE


class Endpoint:
    """One process that takes tokens: a gateway, or a service past it. One use at a time, on a connection that is kept."""

    def __init__(self, name: str, port: int, path: str) -> None:
        self.name, self._port, self._path = name, port, path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def use(self, token: str) -> int:
        """Return the status of the answer, `UNANSWERED` where there is none."""
        try:
            async with asyncio.timeout(ANSWER_TERM):
                return await self._ask(token)
        except (OSError, EOFError, TimeoutError, ValueError):
            self.close()
            return UNANSWERED

    async def _ask(self, token: str) -> int:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {self._path} HTTP/1.1\r\nHost: platform\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        headers = dict(line.split(b":", 1) for line in head.split(b"\r\n")[1:] if line)
        await reader.readexactly(int(headers.get(b"content-length", 0)))
        if headers.get(b"connection", b"").strip() == b"close":
            self.close()
        return int(head.split(b" ", 2)[1])

    def close(self) -> None:
        if self._streams:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Race:
    """What became of one token."""

    token: str
    acknowledgement: dict[str, Any] = field(default_factory=dict)
    accepted: int = 0
    refused: set[str] = field(default_factory=set)
    """Doors that said, after the acknowledgement, that the token is revoked."""
    violations: list[str] = field(default_factory=list)


async def race(endpoints: Sequence[Endpoint], token: str, revoke: Callable[[], Awaitable[dict[str, Any]]]) -> Race:
    """Use `token` at all endpoints while `revoke` runs; it returns the acknowledgement."""
    outcome = Race(token)
    acknowledged: float | None = None
    over = asyncio.Event()
    in_use: set[str] = set()
    warm = asyncio.Event()

    async def storm(endpoint: Endpoint) -> None:
        while True:
            began, after = time.monotonic(), acknowledged is not None
            status = await endpoint.use(token)
            if status == REFUSED:
                if after:
                    outcome.refused.add(endpoint.name)
                    return
                await _until(over, PACE)
            elif not accepted(status):
                if acknowledged is not None and time.monotonic() - acknowledged > LAST_TERM:
                    return
                await asyncio.sleep(0.05)
            else:
                outcome.accepted += 1
                in_use.add(endpoint.name)
                if len(in_use) == len(endpoints):
                    warm.set()
                if not after:
                    await _until(over, PACE)
                elif acknowledged is not None:
                    late = f"{(began - acknowledged) * 1000:.1f} ms after the acknowledgement {outcome.acknowledgement}"
                    outcome.violations.append(f"{endpoint.name} answered {status} to a use that began {late}")
                    return

    async with asyncio.TaskGroup() as group:
        for endpoint in endpoints:
            group.create_task(storm(endpoint))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WARM_TERM):
                await warm.wait()
        outcome.acknowledgement = await revoke()
        acknowledged = time.monotonic()
        over.set()
    return outcome


async def _until(over: asyncio.Event, within: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await over.wait()
