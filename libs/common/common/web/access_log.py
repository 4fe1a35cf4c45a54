"""What every request gets, whichever way it is served: ids when it begins; a measurement and a line in the log when it ends."""

import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import structlog
from prometheus_client import Histogram

from common.context import new_traceparent
from common.ids import new_id_text

__all__ = ["Begun", "Ended"]

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
OK = 200
LOOKS = frozenset(("/health", "/ready", "/metrics"))
"""What is asked every second by whoever watches: no line in the log as long as all is well."""
SECONDS = Histogram(
    "xindun_request_seconds",
    "Requests by route and status",
    ["service", "method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


class Begun(NamedTuple):
    """A request's ids, the caller's own where they are fit to be kept, and when it began (`time.perf_counter`)."""

    request_id: str
    traceparent: str
    at: float

    @classmethod
    def now(cls, headers: Mapping[bytes, bytes]) -> "Begun":
        """Begin a request."""
        request_id = _fit(headers.get(b"x-request-id"), SAFE_ID) or new_id_text()
        traceparent = _fit(headers.get(b"traceparent"), TRACEPARENT) or new_traceparent()
        return cls(request_id, traceparent, time.perf_counter())


def _fit(value: bytes | None, form: re.Pattern[str]) -> str | None:
    text = value.decode("latin-1") if value else ""
    return text if text and form.fullmatch(text) else None


class Ended:
    """Notes the requests of one service, each at its end."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._seconds: dict[tuple[str, str, int], Histogram] = {}
        self._log: Any = None

    def note(self, begun: Begun, method: str, route: str, status: int, actor: str | None) -> None:
        """Measure and log a request; `status` 0: it had no answer."""
        seconds = time.perf_counter() - begun.at
        if method not in METHODS:
            method = "other"  # a client must not make time series
        series = self._seconds.get((method, route, status))
        if series is None:
            series = SECONDS.labels(self._service, method, route, str(status))
            self._seconds[method, route, status] = series
        series.observe(seconds)
        if status == OK and route in LOOKS:
            return
        if self._log is None:
            # Where the log is set up for good, a third of what a line costs would be finding the logger each time.
            logger, for_good = structlog.get_logger(), structlog.get_config()["cache_logger_on_first_use"]
            self._log = logger.bind() if for_good else logger
        self._log.info(
            "request",
            service=self._service,
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            request_id=begun.request_id,
            trace_id=begun.traceparent[3:35],
            actor=actor,
        )
