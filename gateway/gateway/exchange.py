"""One request and its response in flight: the buffered part of the body, and the upload of a longer one."""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.types import Receive, Send

from common.problems import Problem
from gateway.exceptions import ClientDisconnectedError, ReadError
from gateway.headers import UpstreamRequest
from gateway.http11 import Connection
from gateway.problems import BadRequest

MAX_BUFFERED_BODY = 1 << 20
"""Bytes of a request's body that are read before a replica is selected: they can be sent again. A longer body streams."""


@dataclass(eq=False, slots=True)
class Exchange:
    """One request, until its response is sent."""

    request: UpstreamRequest
    body: bytes
    streams: bool
    """Whether the client sends more than `body`. A streamed body cannot be sent again."""
    deadline: float
    """The loop's time until which the response must start."""
    receive: Receive
    send: Send
    connection: Connection | None = None
    """Where the request is in flight."""
    upload_task: asyncio.Task[None] | None = None
    body_problem: Problem | None = None
    """Why the rest of the body was rejected."""
    response_sent: bool = False
    """Whether the client has the response's head."""
    disconnect_task: asyncio.Task[None] | None = None
    seen_by_sweep: bool = False

    async def watch_disconnect(self) -> None:
        """Abort the exchange when the client disconnects; for exchanges that are slow enough to need it."""
        with contextlib.suppress(Problem):
            while (await self.receive())["type"] != "http.disconnect":
                pass
            if self.connection:
                self.connection.fail(ClientDisconnectedError())

    async def upload(self, connection: Connection) -> None:
        """Stream the body to the replica. A failure closes the connection, where the reader of the response gets it."""
        length, sent, chunk, more = self.request.length, 0, self.body, True
        try:
            while True:
                sent += len(chunk)
                if length is not None and (sent > length or (sent < length and not more)):
                    connection.fail(ClientDisconnectedError())
                    return
                if length is None and chunk:
                    chunk = b"%x\r\n%b\r\n" % (len(chunk), chunk)
                await connection.send_body(chunk)
                if not more:
                    break
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    connection.fail(ClientDisconnectedError())
                    return
                chunk, more = message.get("body", b""), message.get("more_body", False)
            if length is None:
                await connection.send_body(b"0\r\n\r\n")
        except (ReadError, ClientDisconnectedError):
            return
        except Problem as problem:  # over its limit
            self.body_problem = problem
            connection.fail(ClientDisconnectedError())


async def buffer_body(request: UpstreamRequest, receive: Receive) -> tuple[bytes, bool] | None:
    """Return the body up to `MAX_BUFFERED_BODY`, and whether more follows; None when the client disconnected.

    Raises `BadRequest`.
    """
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if not message.get("more_body", False):
            if request.length is not None and size != request.length:
                raise BadRequest
            return b"".join(chunks), False
        if size > MAX_BUFFERED_BODY:
            return b"".join(chunks), True
