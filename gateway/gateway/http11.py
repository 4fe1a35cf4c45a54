"""One connection to a replica of a service: HTTP/1.1, one request at a time, every size limited."""

import asyncio
from typing import cast

import httptools

from gateway.exceptions import ConnectionNotAvailable, ReadError, RemoteProtocolError

MAX_HEAD_BYTES = 32_768
"""Bytes of a response's head, and of its trailer section."""
MAX_HEADERS = 100
MAX_INTERIM_RESPONSES = 10
"""Responses of the class 1xx before the final one."""
MAX_BUFFERED_BYTES = 262_144
"""Bytes of a response that wait for the client; beyond them, reading from the replica pauses."""
FIRST_INTERIM, SWITCHING_PROTOCOLS, FIRST_FINAL, LAST_STATUS = 100, 101, 200, 599
BODILESS = (204, 304)


class Connection(asyncio.Protocol):
    """Call `send_request`, then `wait_response`, then `read_chunk` until it returns None."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._write_paused = False
        self._read_paused = False
        self._in_use = False
        self.idle_since = 0.0
        """The loop's time."""
        self._reset(head=False)

    # The request

    def _reset(self, *, head: bool) -> None:
        self._head = head
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.response_started = False
        """Whether the response's head has arrived."""
        self.complete = False
        """Whether the response has arrived to its end."""
        self._has_length = self._reusable = False
        self._head_bytes_left, self._interim_responses, self._bytes_read = MAX_HEAD_BYTES, 0, 0
        self._chunks: list[bytes] = []
        self._buffered_bytes = 0

    def send_request(self, data: bytes, *, head: bool) -> None:
        """Send a request's head, and its body or the beginning of it. Raises `ConnectionNotAvailable`.

        `head`: the method is HEAD, so the response has no body.
        """
        if not self.usable:
            raise ConnectionNotAvailable
        self._reset(head=head)
        self._in_use = True
        self._open_transport.write(data)

    async def send_body(self, data: bytes) -> None:
        """Send more of the body, as fast as the replica reads it. Raises `ReadError`."""
        if self._error:
            raise self._error
        self._open_transport.write(data)
        if self._write_paused:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter

    @property
    def _open_transport(self) -> asyncio.Transport:
        assert self._transport
        return self._transport

    # The response

    async def wait_response(self) -> None:
        """Wait for the response's head. Raises `ReadError` and its subclasses."""
        while not self.response_started:
            await self._wait()

    async def read_chunk(self) -> bytes | None:
        """Return the buffered part of the body, None at its end. Raises `ReadError`."""
        while not self._chunks:
            if self.complete:
                return None
            await self._wait()
        chunks, self._chunks, self._buffered_bytes = self._chunks, [], 0
        if self._read_paused and self._error is None:
            self._read_paused = False
            self._open_transport.resume_reading()
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    @property
    def usable(self) -> bool:
        """Whether the next request may be sent here."""
        return self._error is None and not self._in_use and not self._open_transport.is_closing()

    def release(self) -> bool:
        """End the request; return whether the connection can take another. If not, close it."""
        if self.complete and self._reusable and not self._error:
            self._in_use = False
            self.idle_since = self._loop.time()
            return True
        self.close()
        return False

    def close(self) -> None:
        """Close the connection at once."""
        if self._transport:
            self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Close the connection, and raise `error` where the response is awaited."""
        if self._error is None:
            self._error = error
        self.close()
        self._wake()

    async def _wait(self) -> None:
        if self._error:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
        if self._drain_waiter and not self._drain_waiter.done():
            if self._error:
                self._drain_waiter.set_exception(self._error)
            elif not self._write_paused:
                self._drain_waiter.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse; more than one response, or more than a head may have, ends the connection."""
        if not self._in_use or self.complete:
            self.fail(RemoteProtocolError())  # a response without a request
            return
        self._bytes_read += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # A response that was complete before the error stays valid; the connection does not.
            self._reusable = False
            if not self.complete:
                self.fail(RemoteProtocolError())
                return
        if not self.response_started and self._bytes_read > 2 * MAX_HEAD_BYTES:
            self.fail(RemoteProtocolError())
            return
        if self._buffered_bytes > MAX_BUFFERED_BYTES and not self._read_paused and not self.complete:
            self._read_paused = True
            self._open_transport.pause_reading()
        if self.response_started:
            self._wake()

    def eof_received(self) -> bool:
        """Close: a half-closed peer is of no use."""
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """End the exchange."""
        if self._error is None:
            self._error = ReadError()
        self._wake()

    def pause_writing(self) -> None:
        """Make `send_body` wait."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Let `send_body` continue."""
        self._write_paused = False
        self._wake()

    # httptools

    def on_message_begin(self) -> None:
        """Reject a second response to one request."""
        if self.complete:
            raise ValueError("a second response")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, within limits."""
        self._head_bytes_left -= len(name) + len(value) + 4
        if self._head_bytes_left < 0 or len(self.headers) >= MAX_HEADERS:
            raise ValueError("the head exceeds its limits")
        if self.response_started:
            return  # a trailer
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._has_length = True
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                raise ValueError("an unknown transfer coding")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Start the response, unless it is an interim one."""
        status = self._parser.get_status_code()
        if FIRST_INTERIM <= status < FIRST_FINAL and status != SWITCHING_PROTOCOLS:
            self._interim_responses += 1
            if self._interim_responses > MAX_INTERIM_RESPONSES:
                raise ValueError("too many interim responses")
            self.headers.clear()
            self._has_length = False
            return
        if not FIRST_FINAL <= status <= LAST_STATUS:
            raise ValueError("not the status of a response")
        bodiless = self._head or status in BODILESS
        if not bodiless and not self._has_length:
            raise ValueError("without a length, a truncated response would count as complete")
        self.status = status
        self.response_started = True
        # The parser does not know that a response to HEAD ends here, so it must not parse another one.
        self._reusable = self._parser.should_keep_alive() and not self._head
        if bodiless:
            self.complete = True

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        if self.complete:
            raise ValueError("a body after the response's end")
        self._chunks.append(body)
        self._buffered_bytes += len(body)

    def on_message_complete(self) -> None:
        """Complete the response."""
        if self.response_started:
            self.complete = True
