"""Notifies the waiting requests and tasks of this process that a containment step was committed."""

import asyncio

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession


class Notifier:
    """Notifies all current subscribers. Subscribers also poll, because commits of other replicas notify only these."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def subscribe(self) -> asyncio.Event:
        """Return the next notification. Subscribe before reading: every later commit sets it."""
        return self._next

    def notify(self) -> None:
        """Wake all subscribers."""
        self._next.set()
        self._next = asyncio.Event()

    def notify_after_commit(self, session: AsyncSession) -> None:
        """Wake all subscribers when the transaction of `session` has committed."""
        event.listen(session.sync_session, "after_commit", lambda _: self.notify(), once=True)

    async def wait(self, notification: asyncio.Event, timeout: float) -> None:
        """Wait for a notification, `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                await notification.wait()
        except TimeoutError:
            return
