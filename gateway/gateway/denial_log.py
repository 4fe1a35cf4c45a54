"""Records the gateway's denials: directly on the bus, before the response, because the gateway has no database."""

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from common.clock import Clock
from common.contracts.events.gateway import AccessRefused
from common.ids import new_id
from common.messaging.bus import Bus, BusUnavailable, Message
from common.messaging.events import Envelope
from common.messaging.topics import events_topic

log = structlog.get_logger()

WINDOW = 1.0
"""Seconds in which repetitions of one denial are counted in one event: a flood of requests must not flood the log."""
PUBLISH_TIMEOUT = 2.0
"""Seconds that the response waits for the record."""
MAX_WINDOWS = 10_000
"""Different denials within one window; beyond it, each is recorded by itself."""


@dataclass(slots=True)
class _Window:
    started_at: float
    last: AccessRefused
    repetitions: int = 0


@dataclass(slots=True)
class DenialLog:
    """Numbers its events without gaps from its own start: their source names the instance and the start."""

    bus: Bus
    clock: Clock
    instance: str
    _start: str = field(default_factory=lambda: str(new_id()))
    _sequence: int = 0
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)
    _windows: dict[tuple[str, str, str], _Window] = field(default_factory=dict)

    async def record(self, denial: AccessRefused) -> None:
        """Return when the denial is on the bus, or counted with an equal one that is. Raises `BusUnavailable`."""
        key = denial.subject, denial.problem, denial.route
        window = self._windows.get(key)
        if window and time.monotonic() - window.started_at < WINDOW:
            window.last, window.repetitions = denial, window.repetitions + 1
            return
        if len(self._windows) < MAX_WINDOWS:
            self._windows[key] = _Window(time.monotonic(), denial)
        try:
            await self._publish(denial)
        except BaseException:
            self._windows.pop(key, None)
            raise

    async def run(self) -> None:
        """Record the repetitions of each window that has ended, until cancelled."""
        while True:
            await asyncio.sleep(WINDOW)
            now = time.monotonic()
            for key, window in list(self._windows.items()):
                if now - window.started_at < WINDOW:
                    continue
                del self._windows[key]
                if window.repetitions:
                    await self._record_repetitions(window)

    async def _record_repetitions(self, window: _Window) -> None:
        try:
            await self._publish(window.last.model_copy(update={"count": window.repetitions}))
        except BusUnavailable:
            log.warning("denials.not_recorded", count=window.repetitions)

    async def _publish(self, denial: AccessRefused) -> None:
        async with self._order:
            envelope = Envelope(
                id=new_id(),
                source=f"/gateway/{self.instance}/{self._start}",
                type=AccessRefused.type,
                subject=denial.subject,
                time=self.clock.now(),
                sequence=self._sequence + 1,
                actor=denial.subject,
                requestid=denial.request_id,
                data=denial.model_dump(mode="json"),
            )
            message = Message(events_topic("gateway"), denial.subject, envelope.to_bytes())
            try:
                async with asyncio.timeout(PUBLISH_TIMEOUT):
                    await self.bus.publish([message])
            except BaseException as error:
                # The bus may have the event or not, so its number is never used again: a new start has its own numbers.
                self._start, self._sequence = str(new_id()), 0
                if isinstance(error, TimeoutError):
                    raise BusUnavailable from error
                raise
            self._sequence += 1
