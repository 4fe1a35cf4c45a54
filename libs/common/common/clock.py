"""The only source of now."""

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

CITY = ZoneInfo("Asia/Shanghai")
"""The city's time zone: quota days and calendar terms are counted in it."""


class Clock(Protocol):
    """Tells the time; services are given one and ask no other."""

    def now(self) -> datetime:
        """Return the current time, in UTC."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the machine's time, in UTC."""
        return datetime.now(UTC)


class ManualClock:
    """A clock that a test moves, to let a term pass."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime.now(UTC)

    def now(self) -> datetime:
        """Return the time that was set."""
        return self._now

    def advance(self, by: timedelta) -> None:
        """Let `by` pass."""
        self._now += by
