"""The runtime of a service: what its endpoints, handlers and background tasks work with."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request

from common.clock import Clock
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.policies import Policies, Policy
from common.enforcement.verifier import Verifier
from common.messaging.bus import Bus
from common.messaging.inbox import Inbox
from common.settings import ServiceSettings
from common.storage.database import Database


class Runtime:
    """Settings, database, bus, clock and enforcement point of one service.

    Each service derives a class of its own with what only that service has. `readiness` holds the conditions of
    `/ready` beside database, bus and feed.
    """

    def __init__(
        self, service: str, settings: ServiceSettings, bus: Bus, clock: Clock, policies: Mapping[str, Policy]
    ) -> None:
        self.service = service
        self.settings = settings
        self.database = Database.of(settings)
        self.bus = bus
        self.clock = clock
        self.point = EnforcementPoint(f"{service}-{settings.instance}", bus, clock, policies)
        self.verifier = Verifier(self.point, settings.issuer, clock)
        self.inbox: Inbox[Any] | None = None
        self.readiness: dict[str, Callable[[], bool]] = {}

    @property
    def policies(self) -> Policies:
        """The policies of the authority, as the revocation feed has brought them."""
        return self.point.policies


async def get_runtime(request: Request) -> Runtime:
    """Return the service's runtime; `async`, because a plain function would cost a thread hop per request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(get_runtime)]
