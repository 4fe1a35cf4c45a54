"""A service in other processes, as an ASGI app: chosen replica, one exchange, and an honest word where the answer is lost.

`begin` is the first step of the same way for who has no task to wait in: the app goes on from wherever that exchange stands.
A request is sent again only where nothing can have happened (no connection), or where repeating does no more: GET, HEAD,
and what carries an Idempotency-Key, which the services honour.
"""

import asyncio

import structlog
from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from common.context import get_context
from common.web.access_log import Begun
from common.web.client_address import ClientAddressStamp
from gateway.connection import Broken, Connection, Late, Unreadable
from gateway.exchange import ClientGone, Exchange, held
from gateway.heads import answer_headers, outgoing
from gateway.problems import BadAnswer, OutcomeUnknown, Overloaded, ServiceUnavailable
from gateway.replicas import CONNECTIONS, CannotConnect, NoRoom, Replica, Replicas

__all__ = ["Upstream"]

log = structlog.get_logger()

ATTEMPTS = 2
"""Replicas that get a request which may be repeated."""
SWEEP_EVERY = 0.5
BEFORE_TERM = 2.0
"""Seconds before the request's own term at which an answer that has not begun is given up, so that we can say why."""
WITHOUT_TERM = 10.0
TROUBLE = Counter("xindun_gateway_upstream_trouble_total", "Exchanges with a service that failed", ["service", "what"])


class Upstream:
    """Requests to one service. `run` must run beside it."""

    def __init__(self, service: str, replicas: Replicas, stamp: ClientAddressStamp) -> None:
        self.service, self.replicas, self._stamp = service, replicas, stamp
        self._under_way: set[Exchange] = set()

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

    def begin(self, scope: Scope, ids: Begun, body: bytes, receive: Receive, until: float) -> Exchange | None:
        """Send a request whose whole body is here to a ready replica; None where that would take waiting.

        Raises `BadRequest`. Whoever begins must `finish` when the connection has news, or let the app go on.
        """
        replica = self.replicas.choose(set())
        if replica is None or not replica.ready or replica.busy >= CONNECTIONS:
            return None
        request = outgoing(scope, self._stamp, ids.request_id, ids.traceparent)
        connection = replica.kept()
        if connection is None:
            return None
        exchange = Exchange(request, body, streams=False, until=until, receive=receive)
        self._under_way.add(exchange)
        self._enter(exchange, replica)
        self._ask(exchange, replica, connection)
        return exchange

    def finish(self, exchange: Exchange) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
        """End an exchange whose answer is whole, and return that: status, headers and body. None: the app must go on."""
        replica, connection = exchange.replica, exchange.connection
        if not replica or not connection or not connection.whole:
            return None
        answer = connection.status, answer_headers(connection.status, connection.headers), connection.taken()
        replica.give_back(connection)
        self._leave(exchange)
        self._end(exchange)
        return answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand one request on and its answer back. Raises the problems of `gateway.problems`."""
        exchange: Exchange | None = scope.get("xindun.exchange") or await self._read(scope, receive)
        if exchange is None:
            return
        exchange.receive, exchange.send = receive, send
        self._under_way.add(exchange)
        try:
            await self._deliver(exchange)
        except ClientGone:
            if exchange.refused and not exchange.began:
                raise exchange.refused from None
            log.info("upstream.client_gone", service=self.service)
        except NoRoom:
            TROUBLE.labels(self.service, "overloaded").inc()
            raise Overloaded(service=self.service) from None
        finally:
            self._end(exchange)

    async def _read(self, scope: Scope, receive: Receive) -> Exchange | None:
        """Read a request as far as it is held; None when the client has gone. Raises `BadRequest`."""
        context = get_context()
        request = outgoing(scope, self._stamp, context.requestid or "", context.traceparent or "")
        body, streams = b"", False
        if request.chunked or request.length:
            read = await held(request, receive)
            if read is None:
                return None
            body, streams = read
        term = scope.get("xindun.term")
        until = term.when() - BEFORE_TERM if term else asyncio.get_running_loop().time() + WITHOUT_TERM
        return Exchange(request, body, streams, until, receive)

    def _end(self, exchange: Exchange) -> None:
        self._under_way.discard(exchange)
        if exchange.watcher:
            exchange.watcher.cancel()

    def _enter(self, exchange: Exchange, replica: Replica) -> None:
        self.replicas.enter(replica)
        exchange.replica = replica

    def _leave(self, exchange: Exchange) -> None:
        if exchange.replica:
            self.replicas.leave(exchange.replica)
        exchange.replica = exchange.connection = None

    async def _deliver(self, exchange: Exchange) -> None:
        tried: set[Replica] = set()
        attempts = 0
        while (replica := exchange.replica or await self.replicas.pick(tried)) is not None:
            if not exchange.replica:
                self._enter(exchange, replica)
            try:
                connection = exchange.connection or replica.kept() or await replica.connect()
                attempts += 1
                await self._exchange(exchange, replica, connection)
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
                self._leave(exchange)
        TROUBLE.labels(self.service, "unreachable").inc()
        raise ServiceUnavailable(service=self.service)

    def _give_up_or_repeat(self, exchange: Exchange, replica: Replica, broken: Broken, attempts: int) -> None:
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

    async def _exchange(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        try:
            if exchange.connection is None:
                self._ask(exchange, replica, connection)
            await connection.answered()
            await self._relay(exchange, replica, connection)
        finally:
            if exchange.uploading and not exchange.uploading.done():
                exchange.uploading.cancel()
                connection.close()  # the service had its say before it had the whole request
            if exchange.connection:
                exchange.connection = None
                replica.give_back(connection)

    def _ask(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        """Send the request, or its beginning. Raises `Broken`."""
        request = exchange.request
        exchange.connection = connection
        if exchange.streams:
            connection.ask(request.to(replica.host_line, request.length), head=False)
            exchange.uploading = asyncio.create_task(exchange.upload(connection))
        elif exchange.body or request.chunked or request.length is not None:
            head = request.to(replica.host_line, len(exchange.body))
            connection.ask(head + exchange.body, head=request.head)
        else:
            connection.ask(request.bodiless(replica.host_line), head=request.head)
        connection.deadline = exchange.until

    async def _relay(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        send, status = exchange.send, connection.status
        assert send
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
