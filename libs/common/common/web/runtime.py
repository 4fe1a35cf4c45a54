"""What a running service hands to its endpoints and handlers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request

from common.clock import Clock
from common.contracts.policies import Policies
from common.enforcement.enforcement_point import EnforcementPoint
from common.messaging.bus import Bus
from common.settings import ServiceSettings
from common.storage.database import Database

__all__ = ["Runtime", "RuntimeDep"]


@dataclass(slots=True)
class Runtime:
    """One service's surroundings. `parts` holds what only that service has, by name.

    `checks` are its own conditions of readiness, beside database, bus and feed.
    """

    service: str
    settings: ServiceSettings
    database: Database
    bus: Bus
    clock: Clock
    point: EnforcementPoint
    parts: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, Callable[[], bool]] = field(default_factory=dict)

    @property
    def policies(self) -> Policies:
        """The rules of the authority."""
        return self.point.policies


async def runtime_of(request: Request) -> Runtime:
    """Return the service's runtime; `async` because a plain function would cost a thread hop per request."""
    runtime: Runtime = request.app.state.runtime
    return runtime


RuntimeDep = Annotated[Runtime, Depends(runtime_of)]
