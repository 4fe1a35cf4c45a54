"""The short way of a request: from the client's socket to a replica's and back, without a task and without ASGI.

It is the beginning of the ordinary way, taken at once. Whatever would have to wait goes on there from where it stands: a
body that is not here yet, a refusal that must be recorded, a service without a kept connection, an answer that comes in
pieces, an exchange that fails. So what a failure means is decided in one place only, `gateway.upstream`.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from starlette.types import Receive
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from common.enforcement.authentication import Principal
from common.enforcement.enforcement_point import CredentialRevoked
from common.problems import Problem
from common.web.access_log import Begun, Ended
from common.web.exception_handlers import negotiate_language, render_problem
from common.web.http_protocol import BoundedHttp
from gateway.exchange import Exchange
from gateway.guard import Guard
from gateway.heads import BODILESS
from gateway.problems import BadRequest
from gateway.routes import Route, route_of
from gateway.upstream import BEFORE_TERM, Upstream

__all__ = ["Door", "Gate"]

SHORT = 65_536
"""Bytes of a request's body that may take the short way."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What all connections to the gateway share."""

    upstreams: Mapping[str, Upstream]
    guard: Guard
    ended: Ended
    body_limit: int
    timeout: float
    proxies: ProxyHeadersMiddleware | None
    """Says who calls, where load balancers in front are believed."""


class Door(BoundedHttp):
    """One connection of a client."""

    def __init__(self, *args: Any, gate: Gate, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.gate = gate
        self._arriving = False
        self._arrived: tuple[RequestResponseCycle, Any] | None = None

    def on_headers_complete(self) -> None:
        """Tell a request that arrives now from one that had to wait for those before it."""
        self._arriving = True
        super().on_headers_complete()
        self._arriving = False

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._arriving and not self.expect_100_continue and not self.parser.should_upgrade():
            self._arrived = cycle, app
        else:
            super()._start_asgi_task(cycle, app)

    def data_received(self, data: bytes) -> None:
        """Read, and let what has arrived go the short way if it can."""
        super().data_received(data)
        if self._arrived:
            (cycle, app), self._arrived = self._arrived, None
            if not self._takes(cycle) or not _Passing(self, cycle, app).starts():
                self.go_on(cycle, app)

    def _takes(self, cycle: RequestResponseCycle) -> bool:
        """Whether a request is whole, and this connection ready to take its answer at once."""
        most = min(SHORT, self.gate.body_limit)
        return not cycle.more_body and not self.flow.write_paused and len(cycle.body) <= most

    def go_on(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Let a request go on the ordinary way."""
        super()._start_asgi_task(cycle, app)

    def answer(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes, request_id: str
    ) -> None:
        """Write a whole answer, framed as uvicorn would."""
        if cycle.disconnected:
            return
        bodiless = cycle.scope["method"] == "HEAD" or status in BODILESS
        content, framed, closes = [STATUS_LINE[status]], bodiless, False
        for name, value in cycle.default_headers:
            content += (name, b": ", value, b"\r\n")
            closes = closes or name == b"connection"  # this process is about to end
        for name, value in headers:
            if name != b"x-request-id":
                content += (name, b": ", value, b"\r\n")
                framed = framed or name == b"content-length"
        if not framed:
            content.append(b"content-length: %d\r\n" % len(body))
        if not cycle.keep_alive and not closes:
            content.append(b"connection: close\r\n")
        content += (b"x-request-id: ", request_id.encode(), b"\r\n\r\n", b"" if bodiless else body)
        cycle.response_started = cycle.response_complete = True
        self.out.write_now(b"".join(content))
        if closes or not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()


class _Passing:
    """One request on the short way."""

    __slots__ = ("_app", "_begun", "_cycle", "_door", "_exchange", "_gate", "_principal", "_route", "_scope")

    def __init__(self, door: Door, cycle: RequestResponseCycle, app: Any) -> None:
        self._door, self._cycle, self._app, self._gate = door, cycle, app, door.gate
        self._scope: Any = cycle.scope
        self._principal: Principal | None = None

    def starts(self) -> bool:
        """Refuse the request, or send it to its service; False where it has to go the ordinary way from here."""
        scope, guard = self._scope, self._gate.guard
        route = route_of(scope["path"])
        if route is None or route.body_limit is not None:
            return False
        self._route: Route = route
        headers = dict(scope["headers"])
        self._begun: Begun = Begun.now(headers)
        scope["xindun.begun"] = self._begun
        if self._gate.proxies:
            _learn_who_calls(scope, self._gate.proxies)
        try:
            self._principal = guard.judge(route, scope)
            return self._asks()
        except CredentialRevoked as revoked:
            if not guard.counted(scope, self._begun.request_id, route, revoked):
                scope["xindun.revoked"] = revoked
                return False
            self._refuse(revoked, headers)
        except BadRequest:
            return False
        except Problem as problem:
            self._refuse(problem, headers)
        return True

    def _refuse(self, problem: Problem, headers: dict[bytes, bytes]) -> None:
        language = negotiate_language(headers.get(b"accept-language", b"").decode("latin-1"))
        lines, body = render_problem(problem, language, self._begun.request_id)
        answer = [(name.lower().encode(), value.encode("latin-1")) for name, value in lines.items()]
        answer.append((b"content-length", b"%d" % len(body)))  # to HEAD, too
        self._answer(problem.status, answer, body)

    def _asks(self) -> bool:
        until = self._door.loop.time() + self._gate.timeout - BEFORE_TERM
        cycle, upstream = self._cycle, self._gate.upstreams[self._route.service]
        exchange = upstream.begin(self._scope, self._begun, bytes(cycle.body), cast("Receive", cycle.receive), until)
        if exchange is None or exchange.connection is None:
            return False
        self._exchange: Exchange = exchange
        exchange.connection.on_news = self._news
        return True

    def _news(self) -> None:
        """Hand the answer on if all of it is here; else let the ordinary way see to it."""
        answer = self._gate.upstreams[self._route.service].finish(self._exchange)
        if answer:
            self._answer(*answer)
        else:
            self._scope["xindun.exchange"], self._scope["xindun.principal"] = self._exchange, self._principal
            self._door.go_on(self._cycle, self._app)

    def _answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self._door.answer(self._cycle, status, headers, body, self._begun.request_id)
        actor = self._principal.subject if self._principal else None
        self._gate.ended.note(self._begun, self._scope["method"], f"/{self._route.service}", status, actor)


async def _nothing(*_: object) -> None:
    pass


def believing(proxies: str) -> ProxyHeadersMiddleware:
    """Return what writes the caller into a scope, where `proxies` say it."""
    return ProxyHeadersMiddleware(_nothing, proxies)


def _learn_who_calls(scope: Any, proxies: Any) -> None:
    with contextlib.suppress(StopIteration):
        proxies(scope, None, None).send(None)  # it never waits: nothing is called afterwards
