"""The application factory of audit."""

import contextlib

from fastapi import FastAPI

from audit.evidence.endpoints import routes as evidence
from audit.log.endpoints import routes as log_routes
from audit.log.sequencer import open_log
from audit.producers.endpoints import routes as producers_routes
from audit.producers.service import watch_producers
from audit.runtime import Runtime
from audit.settings import Settings
from common.clock import Clock, SystemClock
from common.contracts.events.audit import AccessRefused
from common.contracts.services import MEMBERS
from common.messaging.bus import Bus
from common.messaging.topics import events_topic
from common.problems import Unavailable
from common.web.application import create_service

BATCH_LINGER_SECONDS = 0.1
"""Seconds for which events wait for a batch: each batch costs a transaction, a checkpoint and its signature."""


def create_app(settings: Settings, bus: Bus, *, clock: Clock | None = None) -> FastAPI:
    """Return the service. It has no inbox: the log itself takes every event once."""
    return create_service(
        Runtime(settings, bus, clock or SystemClock()),
        routers=[log_routes, producers_routes, evidence],
        refused=AccessRefused,
        prepare=_prepare,
        tasks=[open_log, watch_producers],
    )


async def _prepare(runtime: Runtime) -> None:
    with contextlib.suppress(Unavailable):  # deliveries are refused while the log is broken or the database away (P10)
        await runtime.sequencer.open()
    topics = [events_topic(publisher) for publisher in MEMBERS]
    await runtime.bus.subscribe("audit", topics, runtime.sequencer.deliver, linger=BATCH_LINGER_SECONDS)
