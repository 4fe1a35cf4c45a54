"""Exponential back-off between attempts."""

import asyncio


class Backoff:
    """Waits `initial` seconds after the first failure and twice as long after each further one, `maximum` at most."""

    def __init__(self, initial: float = 0.1, maximum: float = 5.0) -> None:
        self.initial, self.maximum = initial, maximum
        self._failures = 0

    def delay(self, failures: int) -> float:
        """Return the seconds between failure number `failures`, from 0, and the next attempt."""
        return min(self.initial * 2.0 ** min(failures, 30), self.maximum)

    def next_delay(self) -> float:
        """Count a failure and return the seconds until the next attempt."""
        self._failures += 1
        return self.delay(self._failures - 1)

    async def wait(self) -> None:
        """Count a failure and sleep until the next attempt."""
        await asyncio.sleep(self.next_delay())

    def reset(self) -> None:
        """Start again from `initial`: an attempt succeeded."""
        self._failures = 0
