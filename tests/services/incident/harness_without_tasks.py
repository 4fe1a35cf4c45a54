"""Incident whose background tasks run only when a test runs them."""

from datetime import timedelta

from common.clock import ManualClock, SystemClock
from common.context import ActContext, set_context
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging.inbox import Inbox
from common.messaging.topics import events_topic
from incident.breaches import service as breaches
from incident.breaches.schemas import BreachReportRequest
from incident.breaches.views import get_breach_view
from incident.handlers import handlers
from incident.notifier import Notifier
from incident.probes import task_queue
from incident.probes.client import ProbeClient
from tests.harness.databases import ServiceDatabase
from tests.services.incident.harness import IncidentHarness


class HarnessWithoutTasks(IncidentHarness):
    """Incident without its background tasks: the test runs and kills them."""

    def __init__(self, database: ServiceDatabase) -> None:
        super().__init__(database, ManualClock(SystemClock().now()))

    async def start_app(self) -> None:
        self._exit.push_async_callback(self.runtime.database.close)
        await self.bus.subscribe("stand-in", [events_topic("incident")], self._execute)
        self.restart()

    def points(self) -> list[EnforcementPoint]:
        return [self.point]

    def restart(self) -> None:
        """Discard everything that the process held in memory."""
        self.runtime.notifier = Notifier()
        self.inbox = Inbox("incident", self.runtime.database, handlers, self.runtime, self.clock)
        self.probe_client = ProbeClient(self.gateway_client, self.settings, self.clock)

    async def publish(self, *events) -> None:
        await self.inbox.deliver([self.message(event) for event in events])

    async def breach(self, unit, **scope):
        set_context(ActContext())
        principal = Principal(
            "account", str(new_id()), unit, UnitKind.AGENCY, frozenset(), None, {}, self.clock.now() + timedelta(days=1)
        )
        body = BreachReportRequest.model_validate(self.report_body(**scope))
        async with self.runtime.database.transaction() as session:
            incident = await breaches.report(session, self.runtime, principal, body)
        return incident.id

    async def file_of(self, breach):
        async with self.runtime.database.transaction() as session:
            return await get_breach_view(session, self.runtime, breach, None)

    async def order_of(self, breach):
        (order,) = (await self.file_of(breach)).orders
        return order

    async def claim(self):
        async with self.runtime.database.transaction() as session:
            return await task_queue.claim(session, self.runtime)

    async def record(self, work, attempts) -> None:
        async with self.runtime.database.transaction() as session:
            await task_queue.record(session, self.runtime, work, attempts)
