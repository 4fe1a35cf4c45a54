"""uvicorn's HTTP/1.1 protocol with limits on a request's head: size, number of headers, and time.

Trailers are dropped: uvicorn would append them to the headers of a request that is already being served. A response's
head and body leave in one write: uvicorn writes each by itself, which costs a system call here and one at the client.
"""

from asyncio import AbstractEventLoop, Handle, TimerHandle, Transport
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 32_768
"""Bytes of the request line and the headers together; of a trailer section too."""
MAX_HEADERS = 100
HEAD_TIMEOUT = 10.0
"""Seconds from a request's first byte, or from the connection, to the end of the head."""


MAX_BUFFERED_BYTES = 65_536
"""Bytes of a response that wait for more; beyond them a write happens at once, so that a slow client pauses us."""


class CoalescingTransport:
    """A transport that joins the writes of one iteration of the event loop."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._buffer = b""
        self._flush_handle: Handle | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Buffer `data` until `flush`, at the latest in the loop's next iteration."""
        self._buffer += data
        if len(self._buffer) > MAX_BUFFERED_BYTES:
            self.flush()
        elif self._flush_handle is None:
            self._flush_handle = self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what is buffered."""
        if self._flush_handle:
            self._flush_handle.cancel()
            self._flush_handle = None
        if self._buffer and not self._transport.is_closing():
            self._transport.write(self._buffer)
        self._buffer = b""

    def close(self) -> None:
        """Write what is buffered, then close."""
        self.flush()
        self._transport.close()


class LimitedHttpProtocol(HttpToolsProtocol):
    """The protocol of one client connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._bytes_left = MAX_HEAD_BYTES
        self._fields = 0
        self._in_head = False
        self._head_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the timer of the first request's head."""
        self._out = CoalescingTransport(transport, self.loop)
        super().connection_made(cast("Transport", self._out))
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; count an incomplete head against its limits."""
        fields = self._fields
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        if fields == self._fields:
            self._bytes_left -= len(data)  # no line ended within `data`, so no callback has counted it
        if self._bytes_left < 0:
            self.send_400_response("Invalid HTTP request received.")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def on_message_begin(self) -> None:
        """Start a head."""
        self._in_head, self._bytes_left, self._fields = True, MAX_HEAD_BYTES, 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Count the request target."""
        self._bytes_left -= len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and keep it unless it is a trailer."""
        self._fields += 1
        self._bytes_left -= len(name) + len(value) + 4
        if self._bytes_left < 0 or self._fields > MAX_HEADERS:
            raise ValueError("the head exceeds its limits")  # ends the parser; uvicorn answers 400
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Serve the request."""
        self._in_head = False
        self._stop_head_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Write the response."""
        self._out.flush()
        super().on_response_complete()

    def _stop_head_timer(self) -> None:
        if self._head_timer:
            self._head_timer.cancel()
            self._head_timer = None
