"""The access log: one latency observation and one log line per request."""

import logging
import time
from collections.abc import Callable
from typing import Any

import structlog
from prometheus_client import Histogram

from common.log_config import render
from common.web.request_state import RequestState

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OK = 200
UNLOGGED_ROUTES = frozenset(("/health", "/ready", "/metrics"))
"""Monitors poll these every second: a 200 writes no log line."""
SECONDS = Histogram(
    "xindun_request_seconds",
    "Requests by route and status",
    ["service", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


class AccessLog:
    """Records the finished requests of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._seconds: dict[tuple[str, str, int], Histogram] = {}
        self._write: Callable[[dict[str, Any]], None] | None = None

    def record(self, state: RequestState, method: str, route: str, status: int) -> None:
        """Measure and log a request; `status` 0: it got no response."""
        seconds = time.perf_counter() - state.started_at
        if method not in METHODS:
            method = "other"  # a client must not create time series
        series = self._seconds.get((method, route, status))
        if series is None:
            series = SECONDS.labels(self._service, method, route, str(status))
            self._seconds[method, route, status] = series
        series.observe(seconds)
        if status == OK and route in UNLOGGED_ROUTES:
            return
        event = {
            "event": "request",
            "service": self._service,
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "request_id": state.request_id,
            "trace_id": state.traceparent[3:35],
            "actor": state.principal.subject if state.principal else None,
        }
        if self._write is None:
            self._write = _writer()
        self._write(event)


def _writer() -> Callable[[dict[str, Any]], None]:
    """Return what writes an event. Where logging is configured, it skips the logger: that takes a tenth of a request."""
    logger, config = structlog.get_logger(), structlog.get_config()
    if not config["cache_logger_on_first_use"]:
        return lambda event: logger.info(**event)
    if not logger.bind().is_enabled_for(logging.INFO):
        return lambda _: None
    write = config["logger_factory"]().msg
    return lambda event: write(render(None, "info", event))
