"""A service in other processes, as an ASGI app: chosen replica, one exchange, and an honest word where the answer is lost.

A request is sent again only where nothing can have happened (no connection), or where repeating does no more: GET, HEAD,
and what carries an Idempotency-Key, which the services honour.
"""

import asyncio
import contextlib
from dataclasses import dataclass

import structlog
from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from common.origin import OriginStamp
from common.problems import Problem
from gateway.connection import Broken, Connection, Late, Unreadable
from gateway.heads import Outgoing, answer_headers, outgoing
from gateway.problems import BadAnswer, BadRequest, OutcomeUnknown, Overloaded, ServiceUnavailable
from gateway.replicas import CannotConnect, NoRoom, Replica, Replicas

__all__ = ["Upstream"]

log = structlog.get_logger()

HELD_BODY = 1 << 20
"""Bytes of a request that are read before a replica is chosen: they can be sent again. What is longer streams."""
ATTEMPTS = 2
"""Replicas that get a request which may be repeated."""
SWEEP_EVERY = 0.5
BEFORE_TERM = 2.0
"""Seconds before the request's own term at which an answer that has not begun is given up, so that we can say why."""
WITHOUT_TERM = 10.0
TROUBLE = Counter("xindun_gateway_upstream_trouble_total", "Exchanges with a service that failed", ["service", "what"])


class ClientGone(Broken):
    """Nobody waits for the answer any more."""


@dataclass(eq=False, slots=True)
class _Exchange:
    """One request, while a replica has it."""

    request: Outgoing
    body: bytes
    streams: bool
    """Whether the client sends more than `body`: what is handed on as it comes cannot be sent again."""
    receive: Receive
    send: Send
    uploading: asyncio.Task[None] | None = None
    refused: Problem | None = None
    """Why the rest of the body is not taken."""
    began: bool = False
    """Whether the client has the answer's head."""
    connection: Connection | None = None
    watcher: asyncio.Task[None] | None = None
    seen: bool = False

    async def watch(self) -> None:
        """Give up when the client goes away; for exchanges that take long enough to be worth it."""
        with contextlib.suppress(Problem):
            while (await self.receive())["type"] != "http.disconnect":
                pass
            if self.connection:
                self.connection.fail(ClientGone())


class Upstream:
    """Requests to one service. `run` must run beside it."""

    def __init__(self, service: str, replicas: Replicas, stamp: OriginStamp) -> None:
        self.service, self.replicas, self._stamp = service, replicas, stamp
        self._under_way: set[_Exchange] = set()

    async def run(self) -> None:
        """Keep the replicas known and watched, and exchanges within their terms, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.replicas.run())
            group.create_task(self._sweep())

    async def _sweep(self) -> None:
        """One look at all for less than a timer and a task for each: most exchanges are over before it comes."""
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            now = asyncio.get_running_loop().time()
            for exchange in tuple(self._under_way):
                if exchange.connection and not exchange.connection.has_answered and exchange.connection.deadline < now:
                    exchange.connection.fail(Late())
                elif (
                    exchange.seen and exchange.watcher is None and (not exchange.uploading or exchange.uploading.done())
                ):
                    exchange.watcher = asyncio.create_task(exchange.watch())
                exchange.seen = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on and its answer back. Raises the problems of `gateway.problems`."""
        request = outgoing(scope, self._stamp)
        body, streams = b"", False
        if request.chunked or request.length:
            held = await _held(request, receive)
            if held is None:
                return
            body, streams = held
        exchange = _Exchange(request, body, streams, receive, send)
        term = scope.get("xindun.term")
        until = term.when() - BEFORE_TERM if term else asyncio.get_running_loop().time() + WITHOUT_TERM
        self._under_way.add(exchange)
        try:
            await self._deliver(exchange, until)
        except ClientGone:
            if exchange.refused and not exchange.began:
                raise exchange.refused from None
            log.info("upstream.client_gone", service=self.service)
        except NoRoom:
            TROUBLE.labels(self.service, "overloaded").inc()
            raise Overloaded(service=self.service) from None
        finally:
            self._under_way.discard(exchange)
            if exchange.watcher:
                exchange.watcher.cancel()

    async def _deliver(self, exchange: _Exchange, until: float) -> None:
        tried: set[Replica] = set()
        attempts = 0
        while (replica := await self.replicas.pick(tried)) is not None:
            replica.busy += 1
            try:
                connection = replica.kept() or await replica.connect()
                attempts += 1
                await self._exchange(exchange, replica, connection, until)
            except CannotConnect:
                tried.add(replica)
                self.replicas.resolve_soon()
            except ClientGone:
                raise
            except Broken as broken:
                self._give_up_or_repeat(exchange, replica, broken, attempts)
            else:
                return
            finally:
                self.replicas.leave(replica)
        TROUBLE.labels(self.service, "unreachable").inc()
        raise ServiceUnavailable(service=self.service)

    def _give_up_or_repeat(self, exchange: _Exchange, replica: Replica, broken: Broken, attempts: int) -> None:
        """Return when the request may be sent again; raise what the client has to know otherwise."""
        what = type(broken).__name__.lower()
        TROUBLE.labels(self.service, what).inc()
        log.warning("upstream.trouble", service=self.service, address=replica.address, what=what, began=exchange.began)
        if not isinstance(broken, Unreadable):
            replica.doubt()
        if exchange.began:
            raise BadAnswer(service=self.service) from broken  # the client sees an answer that breaks off
        if broken.untouched:
            if attempts > ATTEMPTS:
                raise ServiceUnavailable(service=self.service) from broken
            return
        if not exchange.request.repeatable or exchange.streams:
            raise OutcomeUnknown(self.service) from broken
        if isinstance(broken, Unreadable):
            raise BadAnswer(service=self.service) from broken
        if isinstance(broken, Late) or attempts >= ATTEMPTS:
            raise ServiceUnavailable(service=self.service) from broken

    async def _exchange(self, exchange: _Exchange, replica: Replica, connection: Connection, until: float) -> None:
        request = exchange.request
        exchange.connection = connection
        try:
            if exchange.streams:
                connection.ask(request.to(replica.host_line, request.length), head=False)
                exchange.uploading = asyncio.create_task(_upload(exchange, connection))
            elif exchange.body or request.chunked or request.length is not None:
                head = request.to(replica.host_line, len(exchange.body))
                connection.ask(head + exchange.body, head=request.head)
            else:
                connection.ask(request.bodiless(replica.host_line), head=request.head)
            connection.deadline = until
            await connection.answered()
            await self._relay(exchange, replica, connection)
        finally:
            if exchange.uploading and not exchange.uploading.done():
                exchange.uploading.cancel()
                connection.close()  # the service had its say before it had the whole request
            if exchange.connection:
                exchange.connection = None
                replica.give_back(connection)

    async def _relay(self, exchange: _Exchange, replica: Replica, connection: Connection) -> None:
        send, status = exchange.send, connection.status
        headers = answer_headers(status, connection.headers)
        body = await connection.piece() if connection.whole else b""
        whole = connection.whole and not exchange.streams
        if whole:
            exchange.connection = None
            replica.give_back(connection)  # it need not wait for a slow client
        exchange.began = True
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if whole:
            await send({"type": "http.response.body", "body": body or b"", "more_body": False})
            return
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        while (piece := await connection.piece()) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _held(request: Outgoing, receive: Receive) -> tuple[bytes, bool] | None:
    """Read the body as far as it is held; None when the client has gone. Raises `BadRequest`."""
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if not message.get("more_body", False):
            if request.length is not None and size != request.length:
                raise BadRequest
            return b"".join(pieces), False
        if size > HELD_BODY:
            return b"".join(pieces), True


async def _upload(exchange: _Exchange, connection: Connection) -> None:
    """Send the body on as it comes; what goes wrong ends the connection, which its reader sees."""
    request, sent, piece, more = exchange.request, 0, exchange.body, True
    try:
        while True:
            sent += len(piece)
            if request.length is not None and (sent > request.length or (sent < request.length and not more)):
                connection.fail(ClientGone())
                return
            if request.length is None:
                await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b"")
            else:
                await connection.send(piece)
            if not more:
                break
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                connection.fail(ClientGone())
                return
            piece, more = message.get("body", b""), message.get("more_body", False)
        if request.length is None:
            await connection.send(b"0\r\n\r\n")
    except Broken:
        return
    except Problem as problem:  # over its bound
        exchange.refused = problem
        connection.fail(ClientGone())
