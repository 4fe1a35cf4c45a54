"""The background task that probes due orders; an order whose worker died becomes due again when its lease ends."""

import asyncio

import httpx
import structlog

from common.context import ActContext, new_traceparent, set_context
from common.problems import Unavailable
from incident.probes import queries, task_queue
from incident.probes.client import ProbeClient
from incident.runtime import Runtime

log = structlog.get_logger()

POLL_INTERVAL_SECONDS = 1.0
"""Finds due orders that no notification announces: other replicas' commits, and orders of a worker that died."""
MIN_POLL_INTERVAL_SECONDS = 0.02


async def probe_orders(runtime: Runtime) -> None:
    """Probe due orders until cancelled."""
    injected = runtime.gateway_client
    # A proxy of the environment must not stand between a probe and the gateway.
    http = injected or httpx.AsyncClient(timeout=httpx.Timeout(3.0), trust_env=False)
    client = ProbeClient(http, runtime.settings, runtime.clock)
    notifier = runtime.notifier
    try:
        while True:
            notification = notifier.subscribe()
            try:
                await probe_round(runtime, client)
                wait = await _until_next(runtime)
            except Unavailable:
                log.warning("probe_worker.database_away")
                wait = POLL_INTERVAL_SECONDS
            await notifier.wait(notification, wait)
    finally:
        if injected is None:
            await http.aclose()


async def probe_round(runtime: Runtime, client: ProbeClient) -> int:
    """Claim the due orders, probe them concurrently, record each; return how many were probed."""
    set_context(ActContext(actor=f"service:{runtime.service}", traceparent=new_traceparent()))
    async with runtime.database.transaction() as session:
        tasks = await task_queue.claim(session, runtime)
    async with asyncio.TaskGroup() as group:
        for task in tasks:
            group.create_task(_probe(runtime, client, task))
    return len(tasks)


async def _probe(runtime: Runtime, client: ProbeClient, task: task_queue.ProbeTask) -> None:
    attempts = await client.probe(task)
    try:
        async with runtime.database.transaction() as session:
            await task_queue.record(session, runtime, task, attempts)
    except Unavailable:
        log.warning("probe_worker.not_recorded", order=str(task.order_id))  # its lease ends, and it is probed again


async def _until_next(runtime: Runtime) -> float:
    """Return the seconds until the next order is due."""
    async with runtime.database.transaction() as session:
        due = await queries.get_next_due(session)
    if due is None:
        return POLL_INTERVAL_SECONDS
    return min(POLL_INTERVAL_SECONDS, max(MIN_POLL_INTERVAL_SECONDS, (due - runtime.clock.now()).total_seconds()))
