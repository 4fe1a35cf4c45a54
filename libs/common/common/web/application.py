"""Builds a service: its routes, its enforcement point, its relay and inbox, health and metrics, one way for all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, TypeVar

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common.messaging import outbox
from common.messaging.bus import Message
from common.messaging.events import Event
from common.messaging.inbox import Handlers, Inbox
from common.messaging.relay import Relay
from common.messaging.topics import events_topic
from common.problems import Problem
from common.storage.pruning import prune_periodically
from common.web.authorization import Anonymous, client_ip
from common.web.client_address import ClientAddressStamp
from common.web.exception_handlers import add_exception_handlers
from common.web.fast_routes import fast_routes
from common.web.middleware import RequestMiddleware
from common.web.operations.endpoints import dead_letter_routes, status_routes
from common.web.request_state import request_state
from common.web.routing import router
from common.web.runtime import Runtime

log = structlog.get_logger()

R = TypeVar("R", bound=Runtime)
Task = Callable[[R], Coroutine[Any, Any, None]]


def asyncpg_dsn(url: str) -> str:
    """Return the asyncpg DSN of a SQLAlchemy URL."""
    return url.replace("postgresql+asyncpg://", "postgresql://", 1)


def create_service(
    runtime: R,
    *,
    routers: Sequence[APIRouter],
    refused: type[Event],
    handlers: Handlers[R] | None = None,
    prepare: Callable[[R], Awaitable[None]] | None = None,
    tasks: Sequence[Task[R]] = (),
    beats: Sequence[Callable[[R], Message]] = (),
) -> FastAPI:
    """Return the service's app; its lifespan runs the relay, the inbox, the enforcement point and `tasks`.

    `refused` is the service's `access.refused` event. `prepare` runs before anything else of the lifespan; `beats` are
    messages that the relay sends with its heartbeat.
    """
    name, settings, database, bus = runtime.service, runtime.settings, runtime.database, runtime.bus
    relay = Relay(
        publisher=name,
        instance=settings.instance,
        dsn=asyncpg_dsn(settings.full_database_url()),
        tls=settings.database_tls(),
        bus=bus,
        clock=runtime.clock,
        beats=[partial(beat, runtime) for beat in beats],
    )
    database.on_commit = relay.wake
    inbox = Inbox(name, database, handlers, runtime, runtime.clock) if handlers else None
    runtime.inbox = inbox

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if prepare:
            await prepare(runtime)
        running: list[Coroutine[Any, Any, None]] = [
            supervise(name, "point", runtime.point.run),
            supervise(name, "relay", relay.run),
            *(supervise(name, task.__name__, partial(task, runtime)) for task in (prune_periodically, *tasks)),
        ]
        if inbox and handlers:
            await bus.subscribe(
                name, [events_topic(publisher) for publisher in sorted(handlers.publishers)], inbox.deliver
            )
            running.append(supervise(name, "inbox", inbox.run))
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
        app.include_router(dead_letter_routes(name))
    for routes in routers:
        app.include_router(routes)
    app.include_router(_health_router())
    add_exception_handlers(app, _recorder(runtime, refused))
    stamp, fast = ClientAddressStamp(name, settings.origin_key), fast_routes(routers)
    limit, term = settings.body_limit, settings.request_timeout
    app.add_middleware(RequestMiddleware, service=name, body_limit=limit, timeout=term, stamp=stamp, fast_routes=fast)
    return app


async def supervise(service: str, what: str, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a background task until cancelled; when it fails or ends, log it and start it again."""
    while True:
        try:
            await run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Cancelled from within, not from outside: the task must go on.
            log.exception("task.failed", service=service, task=what, error="CancelledError")
        except Exception as error:
            log.exception("task.failed", service=service, task=what, error=type(error).__name__)
        await asyncio.sleep(1)


def _recorder(runtime: Runtime, refused: type[Event]) -> Callable[[Request, Problem], Awaitable[None]]:
    async def record(request: Request, problem: Problem) -> None:
        state = request_state(request.scope)
        event = problem.event or refused.model_validate(
            {
                "request_id": state.request_id,
                "subject": state.principal.subject if state.principal else "unknown",
                "method": request.method,
                "route": getattr(request.scope.get("route"), "path", "-"),
                "problem": problem.slug,
                "reason": problem.extra.get("reason") or problem.extra.get("permission"),
                "clause": problem.clause,
                "origin": client_ip(request),
            }
        )
        async with runtime.database.raw_transaction() as connection:
            await outbox.add_on_connection(connection, event, at=runtime.clock.now())

    return record


def _health_router() -> APIRouter:
    routes = router("", "health")

    @routes.get("/health", include_in_schema=False)
    async def health(_: Anonymous) -> dict[str, str]:
        """Alive: the process answers."""
        return {"status": "alive"}

    @routes.get("/ready", include_in_schema=False)
    async def ready(request: Request, response: Response, _: Anonymous) -> dict[str, Any]:
        """Ready: database, bus and feed are there, and what the service needs besides."""
        runtime: Runtime = request.app.state.runtime
        checks = {
            "database": await runtime.database.ping(),
            "bus": runtime.bus.healthy(),
            "feed": runtime.point.fresh(),
            **{name: check() for name, check in runtime.readiness.items()},
        }
        if not all(checks.values()):
            response.status_code = 503
        return {"ready": all(checks.values()), "checks": checks}

    @routes.get("/metrics", include_in_schema=False)
    async def metrics(_: Anonymous) -> Response:
        """Prometheus metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes
