"""Puts audit together."""

import contextlib
from datetime import timedelta

from fastapi import FastAPI

from audit.evidence.endpoints import routes as evidence
from audit.evidence.package import render_verifier
from audit.log.endpoints import routes as log_routes
from audit.log.sequencer import Sequencer, keep_open
from audit.producers.endpoints import routes as producers_routes
from audit.producers.service import Producers, watch_producers
from audit.settings import Settings
from common.clock import Clock
from common.contracts.events.audit import AccessRefused
from common.contracts.services import MEMBERS
from common.messaging.bus import Bus
from common.messaging.topics import events_topic
from common.problems import Unavailable
from common.web.application import create_service
from common.web.runtime import Runtime

__all__ = ["create_app"]

GATHER = 0.1
"""Seconds that what was said may wait for a batch: each is a transaction, a checkpoint and its signature."""


def create_app(settings: Settings, bus: Bus, *, clock: Clock | None = None) -> FastAPI:
    """Return the service. It has no inbox: the log itself is what takes every event, once."""
    signer = settings.signer()

    async def prepare(runtime: Runtime) -> None:
        producers = Producers(
            runtime.database,
            runtime.clock,
            silence=timedelta(seconds=settings.silence_term),
            patience=timedelta(seconds=settings.gap_patience),
        )
        sequencer = Sequencer(runtime.database, runtime.clock, signer, heard=producers.hear, beat=producers.hear_beat)
        runtime.parts |= {"producers": producers, "sequencer": sequencer}
        runtime.checks["log"] = sequencer.intact
        with contextlib.suppress(Unavailable):  # a broken log and an absent database: deliveries are refused, P10
            await sequencer.open()
        topics = [events_topic(publisher) for publisher in MEMBERS]
        await bus.subscribe("audit", topics, sequencer.deliver, linger=GATHER)

    app = create_service(
        "audit",
        settings=settings,
        bus=bus,
        routers=[log_routes, producers_routes, evidence],
        refused=AccessRefused,
        clock=clock,
        prepare=prepare,
        tasks=[keep_open, watch_producers],
    )
    runtime: Runtime = app.state.runtime
    runtime.parts |= {"signer": signer, "verify.py": render_verifier(str(signer.verifier))}
    return app
