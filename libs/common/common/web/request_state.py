"""The typed state of one HTTP request: its ids, its bounds, and what the layers found out about it."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from starlette.responses import Response
from starlette.types import Scope

from common.context import new_traceparent
from common.ids import new_id_text

if TYPE_CHECKING:
    from common.enforcement.principals import Principal


STATE_KEY = "request"
"""Key of the `RequestState` in `scope["state"]`."""
REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(slots=True, eq=False)
class RequestState:
    """`started_at` is in seconds of `time.perf_counter`, `deadline` in those of the loop's clock, `body_limit` in bytes."""

    request_id: str
    traceparent: str
    started_at: float
    deadline: float
    body_limit: int
    route: str | None = None
    """Path template for the metric and the access log, where the framework does not set one."""
    principal: "Principal | None" = None
    response: Response | None = None
    """The endpoint's response, for the idempotency record of the same transaction."""

    @classmethod
    def start(cls, headers: Mapping[bytes, bytes], *, timeout: float, body_limit: int) -> "RequestState":
        """Start a request now; the caller's own ids are kept where they have the right form."""
        return cls(
            _matching(headers.get(b"x-request-id"), REQUEST_ID) or new_id_text(),
            _matching(headers.get(b"traceparent"), TRACEPARENT) or new_traceparent(),
            time.perf_counter(),
            asyncio.get_running_loop().time() + timeout,
            body_limit,
        )


def request_state(scope: Scope) -> RequestState:
    """Return the state that `RequestMiddleware` put into `scope`."""
    return cast("RequestState", scope["state"][STATE_KEY])


def raise_body_limit(scope: Scope, *, max_bytes: int, timeout: float) -> None:
    """Allow this request a body of `max_bytes` and `timeout` seconds from now. Call it before the body is read."""
    state = request_state(scope)
    state.body_limit = max_bytes
    state.deadline = asyncio.get_running_loop().time() + timeout


def _matching(value: bytes | None, form: re.Pattern[str]) -> str | None:
    text = value.decode("latin-1") if value else ""
    return text if text and form.fullmatch(text) else None
