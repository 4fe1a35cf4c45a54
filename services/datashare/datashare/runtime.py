"""The runtime of datashare."""

from typing import Annotated

from fastapi import Depends

from common.clock import Clock
from common.contracts.policies import POLICIES
from common.messaging.bus import Bus
from common.web import runtime
from datashare.settings import Settings


class Runtime(runtime.Runtime):
    """Settings, database, bus and clock of datashare, for endpoints, handlers and tasks."""

    settings: Settings

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__("datashare", settings, bus, clock, POLICIES)


RuntimeDep = Annotated[Runtime, Depends(runtime.get_runtime)]
