"""uvicorn's HTTP/1.1 with bounds that it lacks: how long, how many and how slow the lines of a request's head may be.

A trailer is not a header: uvicorn would append it to the headers of a request that has been judged already. And an answer's
head and body leave together: uvicorn writes each by itself, which costs the caller a second look.
"""

from asyncio import AbstractEventLoop, TimerHandle, Transport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["BoundedHttp"]

LARGEST_HEAD = 32_768
"""Bytes of the first line and the headers together; of a trailer too."""
MOST_HEADERS = 100
HEAD_WITHIN = 10.0
"""Seconds from a request's first byte, or from the connection, to the head's end."""


HELD = 65_536
"""Bytes that wait for the end of the loop's turn; more are written at once, so that a slow reader is felt."""


class _OneWrite:
    """A transport that gathers what is written in one turn of the loop."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._size += len(data)
        if self._size > HELD:
            self._flush()

    def write_now(self, data: bytes) -> None:
        """Write what waits, and `data` with it."""
        self._held.append(data)
        self._flush()

    def _flush(self) -> None:
        if self._held:
            held, self._held, self._size = b"".join(self._held), [], 0
            if not self._transport.is_closing():
                self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()


class BoundedHttp(HttpToolsProtocol):
    """The protocol of one connection to this process."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = LARGEST_HEAD
        self._fields = 0
        self._in_head = False
        self._closing: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Give the first request its term."""
        self.out = _OneWrite(transport, self.loop)
        super().connection_made(cast("Transport", self.out))
        self._closing = self.loop.call_later(HEAD_WITHIN, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the term."""
        self._in_term()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read; a head that is not whole yet counts against its bounds."""
        fields = self._fields
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if fields == self._fields:
            self._room -= len(data)  # no line of it has ended: nobody else has counted it
        if self._room < 0:
            self.send_400_response("Invalid HTTP request received.")
        elif self._closing is None:
            self._closing = self.loop.call_later(HEAD_WITHIN, self.transport.abort)

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head, self._room, self._fields = True, LARGEST_HEAD, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the target."""
        self._room -= len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and keep it unless it is a trailer."""
        self._fields += 1
        self._room -= len(name) + len(value) + 4
        if self._room < 0 or self._fields > MOST_HEADERS:
            raise ValueError("a head over its bounds")  # the parser ends with it, and uvicorn answers 400
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Serve the request."""
        self._in_head = False
        self._in_term()
        super().on_headers_complete()

    def _in_term(self) -> None:
        if self._closing:
            self._closing.cancel()
            self._closing = None
