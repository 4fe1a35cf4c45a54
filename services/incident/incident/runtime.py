"""The runtime of incident."""

from typing import Annotated

import httpx
from fastapi import Depends

from common.clock import Clock
from common.contracts.policies import POLICIES
from common.messaging.bus import Bus
from common.web import runtime
from incident.notifier import Notifier
from incident.settings import Settings


class Runtime(runtime.Runtime):
    """What endpoints, handlers and tasks of incident work with.

    `gateway_client` carries the probes; None opens a client to the gateway of the settings.
    """

    settings: Settings

    def __init__(
        self, settings: Settings, bus: Bus, clock: Clock, *, gateway_client: httpx.AsyncClient | None = None
    ) -> None:
        super().__init__("incident", settings, bus, clock, POLICIES)
        self.notifier = Notifier()
        self.gateway_client = gateway_client


RuntimeDep = Annotated[Runtime, Depends(runtime.get_runtime)]
