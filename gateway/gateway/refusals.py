"""Records the gateway's own refusals: straight on the bus, before the answer, because the gateway has no database."""

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

__all__ = ["Refusals"]

log = structlog.get_logger()

WINDOW = 1.0
"""Seconds in which repeats of one refusal are counted in one event: a flood must not become a flood of records."""
WITHIN = 2.0
"""Seconds that the answer waits for the record."""
MOST = 10_000
"""Different refusals within one window; beyond it, each is recorded by itself."""


@dataclass(slots=True)
class _Window:
    begun: float
    last: AccessRefused
    repeats: int = 0


@dataclass(slots=True)
class Refusals:
    """Numbers without gaps from its own start on: the source names instance and start."""

    bus: Bus
    clock: Clock
    instance: str
    _start: str = field(default_factory=lambda: str(new_id()))
    _sequence: int = 0
    _order: asyncio.Lock = field(default_factory=asyncio.Lock)
    _windows: dict[tuple[str, str, str], _Window] = field(default_factory=dict)

    async def record(self, refusal: AccessRefused) -> None:
        """Return when the refusal is on record, or counted with one that is. Raises `BusUnavailable`."""
        if self.counted(refusal):
            return
        key = _key(refusal)
        if len(self._windows) < MOST:
            self._windows[key] = _Window(time.monotonic(), refusal)
        try:
            await self._publish(refusal)
        except BaseException:
            self._windows.pop(key, None)
            raise

    def counted(self, refusal: AccessRefused) -> bool:
        """Count the refusal with the same one that is on record; False when there is none."""
        window = self._windows.get(_key(refusal))
        if window is None or time.monotonic() - window.begun >= WINDOW:
            return False
        window.last, window.repeats = refusal, window.repeats + 1
        return True

    async def run(self) -> None:
        """Record what was counted, once its window has passed, until cancelled."""
        while True:
            await asyncio.sleep(WINDOW)
            now = time.monotonic()
            for key, window in list(self._windows.items()):
                if now - window.begun < WINDOW:
                    continue
                del self._windows[key]
                if window.repeats:
                    await self._count(window)

    async def _count(self, window: _Window) -> None:
        try:
            await self._publish(window.last.model_copy(update={"count": window.repeats}))
        except BusUnavailable:
            log.warning("refusals.not_recorded", count=window.repeats)

    async def _publish(self, refusal: AccessRefused) -> None:
        async with self._order:
            envelope = Envelope(
                id=new_id(),
                source=f"/gateway/{self.instance}/{self._start}",
                type=AccessRefused.type,
                subject=refusal.subject,
                time=self.clock.now(),
                sequence=self._sequence + 1,
                actor=refusal.subject,
                requestid=refusal.request_id,
                data=refusal.model_dump(mode="json"),
            )
            message = Message(events_topic("gateway"), refusal.subject, envelope.to_bytes())
            try:
                async with asyncio.timeout(WITHIN):
                    await self.bus.publish([message])
            except BaseException as error:
                # It may be held or not: whichever, no later message may take its number. A new start has its own.
                self._start, self._sequence = str(new_id()), 0
                if isinstance(error, TimeoutError):
                    raise BusUnavailable from error
                raise
            self._sequence += 1


def _key(refusal: AccessRefused) -> tuple[str, str, str]:
    return refusal.subject, refusal.problem, refusal.route
