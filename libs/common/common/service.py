"""Builds a service: its routes, its enforcement point, its relay and inbox, health and metrics, one way for all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import outbox
from common.answers import install_problems
from common.auth import Public, Verifier, origin_of
from common.bus import Bus, Message
from common.bus.topics import events_of
from common.clock import Clock, SystemClock
from common.cutoffs import EnforcementPoint
from common.database import Database
from common.direct import doors_of
from common.events import Event
from common.http import Requests, router
from common.inbox import Handlers, Inbox
from common.operations.endpoints import dead_letter_routes, status_routes
from common.origin import OriginStamp
from common.outbox import Relay
from common.problems import Problem
from common.pruning import prune_now_and_then
from common.runtime import Runtime
from common.settings import ServiceSettings

__all__ = ["Task", "create_service", "dsn_of", "keep_running"]

log = structlog.get_logger()

Task = Callable[[Runtime], Coroutine[Any, Any, None]]


def dsn_of(url: str) -> str:
    """Return the asyncpg DSN of a SQLAlchemy URL."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def create_service(
    name: str,
    *,
    settings: ServiceSettings,
    bus: Bus,
    routers: Sequence[APIRouter],
    refused: type[Event],
    handlers: Handlers | None = None,
    clock: Clock | None = None,
    prepare: Callable[[Runtime], Awaitable[None]] | None = None,
    tasks: Sequence[Task] = (),
    beats: Sequence[Callable[[Runtime], Message]] = (),
) -> FastAPI:
    """Return the service's app; its lifespan runs the relay, the inbox, the enforcement point and `tasks`.

    `refused` is the service's `access.refused` event. `prepare` runs before anything else of the lifespan and fills
    `runtime.parts`; `beats` are messages that the relay sends with its heartbeat.
    """
    clock = clock or SystemClock()
    database = Database.of(settings)
    point = EnforcementPoint(f"{name}-{settings.instance}", bus, clock)
    runtime = Runtime(name, settings, database, bus, clock, point)
    runtime.parts["verifier"] = Verifier(point, settings.issuer, clock)
    relay = Relay(
        publisher=name,
        instance=settings.instance,
        dsn=dsn_of(settings.full_database_url()),
        tls=settings.database_tls(),
        bus=bus,
        clock=clock,
        beats=[partial(beat, runtime) for beat in beats],
    )
    runtime.parts["relay"] = relay
    database.told = relay.wake
    inbox = Inbox(name, database, handlers, runtime) if handlers else None

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if prepare:
            await prepare(runtime)
        running: list[Coroutine[Any, Any, None]] = [
            keep_running(name, "point", point.run),
            keep_running(name, "relay", relay.run),
            *(keep_running(name, task.__name__, partial(task, runtime)) for task in (prune_now_and_then, *tasks)),
        ]
        if inbox and handlers:
            await bus.subscribe(
                name, [events_of(publisher) for publisher in sorted(handlers.publishers)], inbox.deliver
            )
            running.append(keep_running(name, "inbox", inbox.run))
        jobs = [asyncio.create_task(job) for job in running]
        try:
            yield
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await database.close()

    app = FastAPI(
        title=f"Xindun {name}",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    app.state.runtime = runtime
    app.include_router(status_routes(name))
    if inbox:
        runtime.parts["inbox"] = inbox
        app.include_router(dead_letter_routes(name))
    for routes in routers:
        app.include_router(routes)
    app.include_router(_health_router())
    install_problems(app, _recorder(runtime, refused))
    stamp, doors = OriginStamp(name, settings.origin_key), doors_of(routers)
    limit, term = settings.body_limit, settings.request_timeout
    app.add_middleware(Requests, service=name, body_limit=limit, timeout=term, stamp=stamp, doors=doors)
    return app


async def keep_running(service: str, what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a background task for as long as the service lives; a defect is logged, and it begins anew."""
    while True:
        try:
            await run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Something within was cancelled, not we: a task that ended here would be missed by nobody.
            log.exception("task.failed", service=service, task=what, error="CancelledError")
        except Exception as error:
            log.exception("task.failed", service=service, task=what, error=type(error).__name__)
        await asyncio.sleep(1)


def _recorder(runtime: Runtime, refused: type[Event]) -> Callable[[Request, Problem], Awaitable[None]]:
    async def record(request: Request, problem: Problem) -> None:
        principal = getattr(request.state, "principal", None)
        event = problem.event or refused.model_validate(
            {
                "request_id": request.state.request_id,
                "subject": principal.subject if principal else "unknown",
                "method": request.method,
                "route": getattr(request.scope.get("route"), "path", "-"),
                "problem": problem.slug,
                "reason": problem.extra.get("reason") or problem.extra.get("permission"),
                "clause": problem.clause,
                "origin": origin_of(request),
            }
        )
        async with runtime.database.direct() as connection:
            await outbox.tell(connection, event, at=runtime.clock.now())

    return record


def _health_router() -> APIRouter:
    routes = router("", "health")

    @routes.get("/health", include_in_schema=False)
    async def health(_: Public) -> dict[str, str]:
        """Alive: the process answers."""
        return {"status": "alive"}

    @routes.get("/ready", include_in_schema=False)
    async def ready(request: Request, response: Response, _: Public) -> dict[str, Any]:
        """Ready: database, bus and feed are there, and what the service needs besides."""
        runtime: Runtime = request.app.state.runtime
        checks = {
            "database": await runtime.database.answers(),
            "bus": runtime.bus.delivering(),
            "feed": runtime.point.fresh(),
            **{name: check() for name, check in runtime.checks.items()},
        }
        if not all(checks.values()):
            response.status_code = 503
        return {"ready": all(checks.values()), "checks": checks}

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(_: Public) -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
