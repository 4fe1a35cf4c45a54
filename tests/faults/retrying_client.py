"""A careful client: repeats what got no answer or "not now" under the same keys, and keeps what was acknowledged."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx

from demo.runner import Step

WRITES = ("POST", "PUT", "PATCH", "DELETE")
UNAVAILABLE = (502, 503, 504)
ONE_TIME_PATHS = ("/identity/sessions", "/identity/sessions/refresh", "/identity/activations/confirm")
"""What takes a code or a token that serves once, and for a moment: where its answer is lost, somebody has to begin again."""
PAUSE = 0.2
"""Seconds between attempts."""


@dataclass(frozen=True)
class Acknowledged:
    """A write that was answered with success: its record must be found under this request id."""

    request_id: str
    method: str
    path: str
    attempts: int

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.request_id}, {self.attempts} attempts)"


def lost_once(step: Step) -> bool:
    """Whether the step was refused because it had been done and its answer lost, or its code had run out meanwhile."""
    return step.status == 401 and step.request.endswith(ONE_TIME_PATHS)


async def pause() -> None:
    await asyncio.sleep(PAUSE)


class RetryingTransport(httpx.AsyncHTTPTransport):
    """Asks one gateway, and the next where it fails; between attempts it awaits `again`.

    Every attempt of a request carries the same Idempotency-Key and the same X-Request-Id.
    """

    def __init__(
        self, *gateways: str, again: Callable[[], Awaitable[None]] = pause, patience: float | None = None
    ) -> None:
        super().__init__()
        self._gateways: Sequence[httpx.URL] = [httpx.URL(gateway) for gateway in gateways]
        self._again, self._patience = again, patience
        self.acknowledged: list[Acknowledged] = []
        self.repeated = 0
        self.longest = 0.0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        started_at = time.monotonic()
        request_id = request.headers.setdefault("X-Request-Id", str(uuid.uuid4()))
        if request.method in WRITES:
            request.headers.setdefault("Idempotency-Key", str(uuid.uuid4()))
        body, attempts = await request.aread(), 0
        while True:
            attempts += 1
            response = await self._attempt(request, body)
            if response is not None:
                break
            self.repeated += 1
            if self._patience and time.monotonic() - started_at > self._patience:
                raise AssertionError(f"{request.method} {request.url.path} had no answer in {self._patience} s")
            await self._again()
        self.longest = max(self.longest, time.monotonic() - started_at)
        if request.method in WRITES and response.is_success:
            self.acknowledged.append(Acknowledged(request_id, request.method, request.url.path, attempts))
        return response

    async def _attempt(self, request: httpx.Request, body: bytes) -> httpx.Response | None:
        gateway = self._gateways[0]
        url = request.url.copy_with(host=gateway.host, port=gateway.port)
        attempt = httpx.Request(request.method, url, headers=request.headers, content=body)
        attempt.extensions = request.extensions
        try:
            response = await super().handle_async_request(attempt)
            content = await response.aread()
        except httpx.TransportError:
            response = None
        if response is None or response.status_code in UNAVAILABLE:
            self._gateways = [*self._gateways[1:], gateway]
            return None
        return httpx.Response(response.status_code, headers=response.headers, content=content)
