"""An upstream whose service runs in other processes: selects a replica, forwards one request, and repeats it only where safe.

A request is sent again where nothing was sent (no connection), and otherwise only GET, HEAD, and a write with an
Idempotency-Key whose operation declares that it honours the key. Any other lost response is `outcome-unknown`.
"""

import asyncio
import contextlib

import structlog
from prometheus_client import Counter
from starlette.types import Receive, Scope, Send

from common.problems import Problem
from common.web.client_address import ClientAddressStamp
from common.web.request_state import request_state
from gateway.exceptions import (
    ClientDisconnectedError,
    ConnectError,
    ConnectionNotAvailable,
    PoolTimeout,
    ReadError,
    ReadTimeout,
    RemoteProtocolError,
)
from gateway.exchange import Exchange, buffer_body
from gateway.headers import build_upstream_request, response_headers
from gateway.http11 import Connection
from gateway.internal_request import OK, get
from gateway.pool import Pool
from gateway.problems import BadAnswer, OutcomeUnknown, Overloaded, ServiceUnavailable
from gateway.repeatable_writes import RepeatableWrites
from gateway.replica import Replica

log = structlog.get_logger()

MAX_ATTEMPTS = 2
"""Times that a repeatable request is sent."""
SWEEP_INTERVAL = 0.5
"""Seconds between two checks of all exchanges in flight."""
RESPONSE_MARGIN = 2.0
"""Seconds before the request's deadline at which a missing response is given up, so that the client learns why."""
OPENAPI_INTERVAL = 2.0
"""Seconds between two checks whether the service's replicas, and so perhaps its OpenAPI document, changed."""
TROUBLE = Counter("xindun_gateway_upstream_trouble_total", "Exchanges with a service that failed", ["service", "what"])


class HttpUpstream:
    """Requests to one service over HTTP/1.1."""

    def __init__(self, service: str, pool: Pool, stamp: ClientAddressStamp) -> None:
        self.service, self.pool, self._stamp = service, pool, stamp
        self._in_flight: set[Exchange] = set()
        self._openapi = b""
        self._openapi_revision: object = None
        self._repeatable_writes = RepeatableWrites()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request and its response. Raises the problems of `gateway.problems`."""
        state = request_state(scope)
        request = build_upstream_request(scope, self._stamp, state.request_id, state.traceparent)
        body, streams = b"", False
        if request.has_body:
            buffered = await buffer_body(request, receive)
            if buffered is None:
                return
            body, streams = buffered
        exchange = Exchange(request, body, streams, state.deadline - RESPONSE_MARGIN, receive, send)
        self._in_flight.add(exchange)
        try:
            await self._deliver(exchange)
        except ClientDisconnectedError:
            if exchange.body_problem and not exchange.response_sent:
                raise exchange.body_problem from None
            log.info("upstream.client_disconnected", service=self.service)
        except PoolTimeout:
            TROUBLE.labels(self.service, "overloaded").inc()
            raise Overloaded(service=self.service) from None
        finally:
            self._in_flight.discard(exchange)
            if exchange.disconnect_task:
                exchange.disconnect_task.cancel()

    async def run(self) -> None:
        """Follow replicas, deadlines and the service's declarations until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.pool.run())
            group.create_task(self._sweep_periodically())
            group.create_task(self._follow_openapi())

    async def ready(self) -> bool:
        """Whether at least one replica is ready."""
        return self.pool.ready

    async def openapi(self) -> bytes:
        """Return the service's document; it is fetched again when a replica was added, removed or restarted."""
        revision = self.pool.revision
        if self._openapi_revision != revision:
            status, document = await get(self, "/openapi.json")
            if status != OK:
                raise ServiceUnavailable(service=self.service)
            self._repeatable_writes = RepeatableWrites(document)
            self._openapi, self._openapi_revision = document, revision
        return self._openapi

    async def _follow_openapi(self) -> None:
        while True:
            if self.pool.ready:
                with contextlib.suppress(Problem, ValueError):  # the next round tries again
                    await self.openapi()
            await asyncio.sleep(OPENAPI_INTERVAL)

    async def _sweep_periodically(self) -> None:
        """Check all exchanges at once: most end before they would need a timer and a task each."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = asyncio.get_running_loop().time()
            for exchange in tuple(self._in_flight):
                connection, uploading = exchange.connection, exchange.upload_task and not exchange.upload_task.done()
                if connection and not connection.response_started and exchange.deadline < now:
                    connection.fail(ReadTimeout())
                elif exchange.seen_by_sweep and exchange.disconnect_task is None and not uploading:
                    exchange.disconnect_task = asyncio.create_task(exchange.watch_disconnect())
                exchange.seen_by_sweep = True

    async def _deliver(self, exchange: Exchange) -> None:
        tried: set[Replica] = set()
        attempts = 0
        while (replica := await self.pool.acquire(tried)) is not None:
            try:
                connection = replica.acquire_idle() or await replica.connect()
                await self._exchange(exchange, replica, connection)
            except (ConnectError, ConnectionNotAvailable):
                tried.add(replica)
                self.pool.resolve_soon()
            except ReadError as error:
                attempts += 1
                self._repeat_or_raise(exchange, replica, error, attempts)
            else:
                return
            finally:
                self.pool.release(replica)
        TROUBLE.labels(self.service, "unreachable").inc()
        raise ServiceUnavailable(service=self.service)

    def _repeat_or_raise(self, exchange: Exchange, replica: Replica, error: ReadError, attempts: int) -> None:
        """Return where the request may be sent again, else raise the problem for the client."""
        what = type(error).__name__
        TROUBLE.labels(self.service, what).inc()
        log.warning(
            "upstream.trouble", service=self.service, address=replica.address, what=what, began=exchange.response_sent
        )
        if not isinstance(error, RemoteProtocolError):
            replica.mark_unhealthy()
        if exchange.response_sent:
            raise BadAnswer(service=self.service) from error  # the client's response ends before its announced end
        if not self._repeatable(exchange):
            raise OutcomeUnknown(self.service) from error
        if isinstance(error, RemoteProtocolError):
            raise BadAnswer(service=self.service) from error
        if isinstance(error, ReadTimeout) or attempts >= MAX_ATTEMPTS:
            raise ServiceUnavailable(service=self.service) from error

    def _repeatable(self, exchange: Exchange) -> bool:
        request = exchange.request
        if exchange.streams:
            return False
        declared = request.has_idempotency_key and self._repeatable_writes.allows(request.method, request.path)
        return request.safe or declared

    async def _exchange(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        exchange.connection = connection
        try:
            self._send_request(exchange, replica, connection)
            await connection.wait_response()
            await self._send_response(exchange, replica, connection)
        finally:
            if exchange.upload_task and not exchange.upload_task.done():
                exchange.upload_task.cancel()
                connection.close()  # the service responded before it had the whole request
            if exchange.connection:
                exchange.connection = None
                replica.release(connection)

    def _send_request(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        request = exchange.request
        if exchange.streams:
            connection.send_request(request.head(replica.host_line, request.length), head=False)
            exchange.upload_task = asyncio.create_task(exchange.upload(connection))
        elif exchange.body or request.chunked or request.length is not None:
            head = request.head(replica.host_line, len(exchange.body))
            connection.send_request(head + exchange.body, head=request.method == "HEAD")
        else:
            connection.send_request(request.head_without_body(replica.host_line), head=request.method == "HEAD")

    async def _send_response(self, exchange: Exchange, replica: Replica, connection: Connection) -> None:
        send, status = exchange.send, connection.status
        headers = response_headers(status, connection.headers)
        body = await connection.read_chunk() if connection.complete else b""
        complete = connection.complete and not exchange.streams
        if complete:
            exchange.connection = None
            replica.release(connection)  # before the client has read the response
        exchange.response_sent = True
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if complete:
            await send({"type": "http.response.body", "body": body or b"", "more_body": False})
            return
        if body:
            await send({"type": "http.response.body", "body": body, "more_body": True})
        while (chunk := await connection.read_chunk()) is not None:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
