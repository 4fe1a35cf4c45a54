"""One request on its way to a replica and back: what of it can be sent again, and how a long body follows."""

import asyncio
import contextlib
from dataclasses import dataclass

from starlette.types import Receive, Send

from common.problems import Problem
from gateway.connection import Broken, Connection
from gateway.heads import Outgoing
from gateway.problems import BadRequest
from gateway.replicas import Replica

__all__ = ["HELD_BODY", "ClientGone", "Exchange", "held"]

HELD_BODY = 1 << 20
"""Bytes of a request that are read before a replica is chosen: they can be sent again. What is longer streams."""


class ClientGone(Broken):
    """Nobody waits for the answer any more."""


@dataclass(eq=False, slots=True)
class Exchange:
    """One request, while a replica has it."""

    request: Outgoing
    body: bytes
    streams: bool
    """Whether the client sends more than `body`: what is handed on as it comes cannot be sent again."""
    until: float
    """The loop's time after which an answer that has not begun is given up."""
    receive: Receive
    send: Send | None = None
    uploading: asyncio.Task[None] | None = None
    refused: Problem | None = None
    """Why the rest of the body is not taken."""
    began: bool = False
    """Whether the client has the answer's head."""
    replica: Replica | None = None
    connection: Connection | None = None
    """Where it is under way."""
    watcher: asyncio.Task[None] | None = None
    seen: bool = False

    async def watch(self) -> None:
        """Give up when the client goes away; for exchanges that take long enough to be worth it."""
        with contextlib.suppress(Problem):
            while (await self.receive())["type"] != "http.disconnect":
                pass
            if self.connection:
                self.connection.fail(ClientGone())

    async def upload(self, connection: Connection) -> None:
        """Send the body on as it comes; what goes wrong ends the connection, which its reader sees."""
        request, sent, piece, more = self.request, 0, self.body, True
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
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    connection.fail(ClientGone())
                    return
                piece, more = message.get("body", b""), message.get("more_body", False)
            if request.length is None:
                await connection.send(b"0\r\n\r\n")
        except Broken:
            return
        except Problem as problem:  # over its bound
            self.refused = problem
            connection.fail(ClientGone())


async def held(request: Outgoing, receive: Receive) -> tuple[bytes, bool] | None:
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
