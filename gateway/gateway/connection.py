"""One connection to a replica of a service: HTTP/1.1, one request at a time, bounded in everything."""

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

__all__ = ["Broken", "Connection", "Late", "Unreadable"]

LARGEST_HEAD = 32_768
"""Bytes of an answer's head, and of its trailer."""
MOST_HEADERS = 100
MOST_INTERIM = 10
"""Answers of the class 1xx before the one that counts."""
HELD = 262_144
"""Bytes of an answer that wait for the client; then nothing more is read from the service."""
INTERIM, SWITCHING, SUCCESS, LAST_STATUS = 100, 101, 200, 599
BODILESS = (204, 304)


class Broken(Exception):  # noqa: N818 - a state, which the caller turns into a problem
    """The connection ended before the answer did. `untouched`: the peer cannot have had anything of the request."""

    def __init__(self, *, untouched: bool = False) -> None:
        super().__init__()
        self.untouched = untouched


class Late(Broken):
    """The answer did not begin in time."""


class Unreadable(Broken):
    """What came is not HTTP, or not bounded."""


class Connection(asyncio.Protocol):
    """Ask with `ask`, wait with `answered`, take the body with `piece` until it gives None.

    Who does not wait in a task sets `on_news`: it is called once, when the answer begins or fails.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.on_news: Callable[[], None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._error: Broken | None = None
        self._writable = True
        self._paused = False
        self._asked = False
        self.used = 0
        """Requests so far."""
        self.idle_since = 0.0
        self._begin(head=False)

    # The request

    def _begin(self, *, head: bool) -> None:
        self._head = head
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._answered = self._complete = self._framed = self._keep = False
        self._room, self._interim, self._read = LARGEST_HEAD, 0, 0
        self._pieces: list[bytes] = []
        self._held = 0
        self.deadline = float("inf")
        """The loop's time after which an answer that has not begun is given up."""

    def ask(self, data: bytes, *, head: bool) -> None:
        """Send a request's head, and its body or the beginning of it. Raises `Broken`: then nothing was sent."""
        if not self.usable:
            raise Broken(untouched=True)
        self._begin(head=head)
        self._asked = True
        self.used += 1
        self._sender.write(data)

    async def send(self, data: bytes) -> None:
        """Send more of the body, as fast as the peer takes it. Raises `Broken`."""
        if self._error:
            raise self._error
        self._sender.write(data)
        if not self._writable:
            self._drained = self._loop.create_future()
            await self._drained

    @property
    def _sender(self) -> asyncio.Transport:
        assert self._transport
        return self._transport

    # The answer

    async def answered(self) -> None:
        """Wait for the answer's head. Raises `Broken` and its kinds."""
        while not self._answered:
            await self._news()

    async def piece(self) -> bytes | None:
        """Return what came of the body since, None at its end. Raises `Broken`."""
        while not self._pieces:
            if self._complete:
                return None
            await self._news()
        return self.taken()

    def taken(self) -> bytes:
        """Return what came of the body since."""
        pieces, self._pieces, self._held = self._pieces, [], 0
        if self._paused and self._error is None:
            self._paused = False
            self._sender.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @property
    def has_answered(self) -> bool:
        """Whether the answer's head is there."""
        return self._answered

    @property
    def whole(self) -> bool:
        """Whether the answer is there to its end."""
        return self._complete

    @property
    def silent(self) -> bool:
        """Whether nothing at all has come since the request."""
        return self._read == 0

    @property
    def usable(self) -> bool:
        """Whether the next request may be sent here."""
        return self._error is None and not self._asked and not self._sender.is_closing()

    def release(self) -> bool:
        """End the request; return whether the connection can take another. If not, it is closed."""
        if self._complete and self._keep and not self._error:
            self._asked = False
            self.idle_since = self._loop.time()
            return True
        self.close()
        return False

    def close(self) -> None:
        """End the connection at once, whatever is under way."""
        if self._transport:
            self._transport.abort()

    def fail(self, error: Broken) -> None:
        """Give the request up with `error`."""
        if self._error is None:
            self._error = error
        self.close()
        self._wake()

    async def _news(self) -> None:
        if self._error:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self.on_news and (self._answered or self._error):
            on_news, self.on_news = self.on_news, None
            on_news()
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)
        if self._drained and not self._drained.done():
            if self._error:
                self._drained.set_exception(self._error)
            elif self._writable:
                self._drained.set_result(None)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read, and wake whoever waits."""
        if not self._asked or self._complete:
            self.fail(Unreadable())  # nobody asked for it: whose answer would it become?
            return
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            # What came before it, to a complete answer, was good; the connection is not.
            self._keep = False
            if not self._complete:
                self.fail(Unreadable())
                return
        if not self._answered and self._read > 2 * LARGEST_HEAD:
            self.fail(Unreadable())
            return
        if self._held > HELD and not self._paused and not self._complete:
            self._paused = True
            self._sender.pause_reading()
        if self._answered:
            self._wake()

    def eof_received(self) -> bool:
        """Close: a peer that says no more also takes no more."""
        return False

    def connection_lost(self, _: Exception | None) -> None:
        """End what is under way."""
        if self._error is None:
            self._error = Broken()
        self._wake()

    def pause_writing(self) -> None:
        """Let `send` wait."""
        self._writable = False

    def resume_writing(self) -> None:
        """Let `send` go on."""
        self._writable = True
        self._wake()

    # httptools

    def on_message_begin(self) -> None:
        """Refuse an answer that nobody asked for."""
        if self._complete:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header, within bounds."""
        self._room -= len(name) + len(value) + 4
        if self._room < 0 or len(self.headers) >= MOST_HEADERS:
            raise ValueError("endless headers")
        if self._answered:
            return  # a trailer
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                raise ValueError("an unknown transfer coding")
        self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the answer as begun, unless it is an interim one."""
        status = self._parser.get_status_code()
        if INTERIM <= status < SUCCESS and status != SWITCHING:
            self._interim += 1
            if self._interim > MOST_INTERIM:
                raise ValueError("endless interim answers")
            self.headers.clear()
            self._framed = False
            return
        if not SUCCESS <= status <= LAST_STATUS:
            raise ValueError("no status of an answer")
        bodiless = self._head or status in BODILESS
        if not bodiless and not self._framed:
            raise ValueError("an answer without length cannot be told from half of one")
        self.status = status
        self._answered = True
        # The parser cannot be told that an answer to HEAD ends here, so it must not see what comes after one.
        self._keep = self._parser.should_keep_alive() and not self._head
        if bodiless:
            self._complete = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body."""
        if self._complete:
            raise ValueError("a body where none can be")
        self._pieces.append(body)
        self._held += len(body)

    def on_message_complete(self) -> None:
        """Take the answer as whole."""
        if self._answered:
            self._complete = True
