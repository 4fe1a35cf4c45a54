"""Tells everybody in this process who waits for containment that something was committed."""

import asyncio

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

__all__ = ["Signal"]


class Signal:
    """Rings for all who hold a ticket. Only a shortcut: whoever waits looks again by itself, too, for what other replicas did."""

    def __init__(self) -> None:
        self._bell = asyncio.Event()

    def ticket(self) -> asyncio.Event:
        """Take it before looking: what is committed after that look will ring it."""
        return self._bell

    def ring(self) -> None:
        """Wake everybody."""
        self._bell.set()
        self._bell = asyncio.Event()

    def ring_after(self, session: AsyncSession) -> None:
        """Ring when the transaction of `session` has committed."""
        event.listen(session.sync_session, "after_commit", lambda _: self.ring(), once=True)

    async def heard(self, ticket: asyncio.Event, timeout: float) -> None:
        """Wait for the ticket to ring, `timeout` seconds at most."""
        try:
            async with asyncio.timeout(timeout):
                await ticket.wait()
        except TimeoutError:
            return
