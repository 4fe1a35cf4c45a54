"""The background task that probes: looks for due orders, knocks, and records; whatever dies between is found again."""

import asyncio

import httpx
import structlog

from common.context import ActContext, new_traceparent, set_context
from common.problems import Unavailable
from incident.orders import queries
from incident.probes import queue as probing
from incident.probes.client import Knocker
from incident.runtime import Runtime
from incident.settings import Settings

__all__ = ["probe_orders", "probe_round"]

log = structlog.get_logger()

LOOK_EVERY = 1.0
"""Seconds between looks for what no signal announces: other replicas' commits, and what a crash left."""
SOONEST = 0.02
"""Seconds between two looks at least."""


async def probe_orders(runtime: Runtime) -> None:
    """Probe for as long as the service lives."""
    settings = runtime.settings
    assert isinstance(settings, Settings)
    injected: httpx.AsyncClient | None = runtime.probe_client
    # No proxy of the environment may stand between a probe and the door.
    client = injected or httpx.AsyncClient(timeout=httpx.Timeout(3.0), trust_env=False)
    knocker = Knocker(client, settings, runtime.clock)
    signal = runtime.signal
    try:
        while True:
            ticket = signal.ticket()
            try:
                await probe_round(runtime, knocker)
                wait = await _until_next(runtime)
            except Unavailable:
                log.warning("prober.database_away")
                wait = LOOK_EVERY
            await signal.heard(ticket, wait)
    finally:
        if injected is None:
            await client.aclose()


async def probe_round(runtime: Runtime, knocker: Knocker) -> int:
    """Take what is due, knock for all of it at once, record each; return how many orders were probed."""
    set_context(ActContext(actor=f"service:{runtime.service}", traceparent=new_traceparent()))
    async with runtime.database.transaction() as session:
        works = await probing.claim(session, runtime)
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(_probe(runtime, knocker, work))
    return len(works)


async def _probe(runtime: Runtime, knocker: Knocker, work: probing.Work) -> None:
    attempts = await knocker.probe(work)
    try:
        async with runtime.database.transaction() as session:
            await probing.record(session, runtime, work, attempts)
    except Unavailable:
        log.warning("prober.not_recorded", order=str(work.order_id))  # its lease ends, and it is probed again


async def _until_next(runtime: Runtime) -> float:
    """Return the seconds until the next order is due."""
    async with runtime.database.transaction() as session:
        due = await queries.next_due(session)
    if due is None:
        return LOOK_EVERY
    return min(LOOK_EVERY, max(SOONEST, (due - runtime.clock.now()).total_seconds()))
