"""The runtime of audit."""

from datetime import timedelta
from typing import Annotated

from fastapi import Depends

from audit.evidence.package import render_verifier
from audit.log.sequencer import Sequencer
from audit.producers.service import Producers
from audit.settings import Settings
from common.clock import Clock
from common.contracts.policies import POLICIES
from common.messaging.bus import Bus
from common.web import runtime


class Runtime(runtime.Runtime):
    """What endpoints and tasks of audit work with."""

    settings: Settings

    def __init__(self, settings: Settings, bus: Bus, clock: Clock) -> None:
        super().__init__("audit", settings, bus, clock, POLICIES)
        self.signer = settings.signer()
        self.verifier_source = render_verifier(str(self.signer.verifier))
        self.producers = Producers(
            self.database,
            clock,
            silence_term=timedelta(seconds=settings.silence_term),
            gap_patience=timedelta(seconds=settings.gap_patience),
        )
        self.sequencer = Sequencer(
            self.database,
            clock,
            self.signer,
            on_event=self.producers.record_event,
            on_heartbeat=self.producers.record_heartbeat,
        )
        self.readiness["log"] = self.sequencer.intact


RuntimeDep = Annotated[Runtime, Depends(runtime.get_runtime)]
