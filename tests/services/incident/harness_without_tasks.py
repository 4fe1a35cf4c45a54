"""Incident's parts without its background tasks: the test is what runs them, and what kills them."""

from datetime import timedelta
from typing import Self

from sqlalchemy import func, select

from common.clock import ManualClock
from common.context import ActContext, set_context
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging.inbox import Inbox
from common.messaging.outbox import outbox
from incident.breaches import service as breaches
from incident.breaches.schemas import BreachReport
from incident.breaches.views import read_file
from incident.handlers import handlers
from incident.notifier import Signal
from incident.probes import queue as probing
from incident.probes.client import Knocker
from tests.services.incident.harness import World


class Pieces(World):
    """Incident's parts without its background tasks: the test is what runs them, and what kills them."""

    with_tasks = False

    async def __aenter__(self) -> Self:
        self.clock = ManualClock(self.clock.now())
        self.app = self.new_app()
        self.runtime = self.app.state.runtime
        self._ends.push_async_callback(self.runtime.database.close)
        await self.open()
        self.restart()
        return self

    def restart(self) -> None:
        """Everything that the process held in memory is gone."""
        self.runtime.signal = Signal()
        self.inbox = Inbox("incident", self.runtime.database, handlers, self.runtime, self.clock)
        self.knocker = Knocker(self.probe_client, self.settings, self.clock)

    async def hear(self, *messages) -> None:
        await self.inbox.deliver(messages)

    async def say(self, *events) -> None:
        await self.hear(*(self.message(event) for event in events))

    async def breach(self, unit, **scope):
        set_context(ActContext())
        principal = Principal(
            "account", str(new_id()), unit, UnitKind.AGENCY, frozenset(), None, {}, self.clock.now() + timedelta(days=1)
        )
        body = BreachReport.model_validate(World.breach(self, **scope))
        async with self.runtime.database.transaction() as session:
            incident = await breaches.report(session, self.runtime, principal, body)
        return incident.id

    async def file_of(self, breach):
        async with self.runtime.database.transaction() as session:
            return await read_file(session, self.runtime, breach, None)

    async def order_of(self, breach):
        (order,) = (await self.file_of(breach)).orders
        return order

    async def claim(self):
        async with self.runtime.database.transaction() as session:
            return await probing.claim(session, self.runtime)

    async def record(self, work, attempts) -> None:
        async with self.runtime.database.transaction() as session:
            await probing.record(session, self.runtime, work, attempts)

    async def outbox(self, name: str) -> int:
        async with self.runtime.database.transaction() as session:
            return await session.scalar(
                select(func.count())
                .select_from(outbox)
                .where(func.convert_from(outbox.c.body, "UTF8").contains(f"cn.xindun.incident.{name}.v1"))
            )
