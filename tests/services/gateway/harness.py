"""The real gateway on a real port, in front of services that are plain sockets, each with the behaviour that a test sets."""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

import httpx
from pydantic import SecretStr

from common.clock import SystemClock
from common.contracts.services import SERVICES
from common.contracts.topics import TOPICS
from common.enforcement.revocation_feed import Cutoff, Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.in_process import InProcessBus
from common.messaging.topics import FEED_TOPIC
from common.web.client_address import ClientAddressStamp, service_key
from common.web.http_server import http_server
from gateway.http_upstream import HttpUpstream
from gateway.main import create_app
from gateway.pool import Pool
from gateway.replica import Target
from gateway.settings import Settings
from tests.harness.polling import eventually

__all__ = ["OK", "REPEATABLE_UNITS", "GatewayWorld", "RawService", "Seen", "answer", "eventually", "request"]

ORIGIN_KEY = SecretStr("the-gateways-own-origin-key")
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REPEATABLE_UNITS = b'{"paths": {"/identity/units": {"post": {"x-idempotency": {"key": true}}}}}'


@dataclass
class Seen:
    """A request as the service got it."""

    head: bytes
    body: bytes

    @property
    def first(self) -> bytes:
        return self.head.split(b"\r\n")[0]

    def header(self, name: bytes) -> list[bytes]:
        lines = [line.split(b": ", 1) for line in self.head.split(b"\r\n")[1:] if line]
        return [value for found, value in lines if found == name]


def answer(data: bytes) -> Callable[..., Awaitable[None]]:
    """A behaviour: read the request, write `data`."""

    async def behave(_: "RawService", __: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return behave


def request(world, method=b"GET", path=b"/identity/units", more=b"", body=b"", token=None) -> bytes:
    """Return the bytes of a request."""
    authorization = b"authorization: Bearer %b\r\n" % (token or world.token).encode()
    length = b"content-length: %d\r\n" % len(body) if body else b""
    return b"%b %b HTTP/1.1\r\nhost: x\r\n%b%b%b\r\n%b" % (method, path, authorization, length, more, body)


class RawService:
    """A service that parses requests strictly; `behave` writes the response, except to `/ready` and `/openapi.json`."""

    def __init__(self, behave=None, *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.behave, self.address, self.tls = behave or answer(OK), address, tls
        self.ready, self.document = True, REPEATABLE_UNITS
        self.health_checks = 0
        self.seen: list[Seen] = []
        self.left: list[bytes] = []
        """What was on a connection besides whole requests: nothing, if nobody smuggles."""
        self.connections = 0
        self.open: dict[asyncio.StreamWriter, asyncio.StreamReader] = {}
        self.reads_bodies = True
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a killed process: no listener, no connection."""
        self._server.close()
        for writer in list(self.open):
            writer.transport.abort()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open[writer] = reader
        self.connections += 1
        try:
            while not writer.is_closing():
                await self._one(reader, writer)
        except asyncio.IncompleteReadError as ended:
            if ended.partial:
                self.left.append(ended.partial)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            del self.open[writer]
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET /ready "):
            self.health_checks += 1
            writer.write(b"HTTP/1.1 %d x\r\ncontent-length: 0\r\n\r\n" % (200 if self.ready else 503))
            return
        if head.startswith(b"GET /openapi.json "):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(self.document), self.document))
            return
        seen = Seen(head, b"")
        if self.reads_bodies:
            seen.body = await self._body(seen, reader)
        self.seen.append(seen)
        await self.behave(self, seen, writer)

    async def rest(self, writer: asyncio.StreamWriter) -> None:
        """Read and forget what still comes, until the peer ends the connection."""
        while await self.open[writer].read(1 << 16):
            pass

    async def _body(self, seen: Seen, reader: asyncio.StreamReader) -> bytes:
        if lengths := seen.header(b"content-length"):
            return await reader.readexactly(int(lengths[0]))
        pieces = []
        if seen.header(b"transfer-encoding") == [b"chunked"]:
            while size := int(await reader.readuntil(b"\r\n"), 16):
                pieces.append((await reader.readexactly(size + 2))[:-2])
            assert await reader.readexactly(2) == b"\r\n"
        return b"".join(pieces)


class GatewayWorld:
    """`services` stand behind every path; `client` speaks to the gateway over a socket."""

    def __init__(self, *services: RawService, urls: str | None = None, ca_file=None, **settings) -> None:
        self.services, self.clock, self.bus = services, SystemClock(), InProcessBus(TOPICS)
        self.settings = Settings(
            **{"environment": "development", "origin_key": ORIGIN_KEY, "drain_delay": 0} | settings
        )
        self._urls, self._ca_file = urls, ca_file
        self.key = SigningKey.generate()
        self._ends = AsyncExitStack()

    @property
    def urls(self) -> str:
        return self._urls or ",".join(service.url for service in self.services)

    async def __aenter__(self) -> Self:
        targets = Target.parse(self.urls, self._ca_file)
        self.upstreams = {
            service: HttpUpstream(service, Pool(targets), ClientAddressStamp(service, service_key(ORIGIN_KEY, service)))
            for service in SERVICES
        }
        self.app = create_app(self.settings, self.bus, self.upstreams)
        self.server = server = http_server(
            self.app,
            host="127.0.0.1",
            port=0,
            drain_delay=self.settings.drain_delay,
            trusted_proxies=self.settings.trusted_proxies,
        )
        serving = asyncio.create_task(server.serve())
        await eventually(lambda: server.started)
        self.port = server.servers[0].sockets[0].getsockname()[1]

        async def end() -> None:
            server.should_exit = True
            await serving

        self.serving = serving

        self._ends.push_async_callback(self.bus.stop)
        self._ends.push_async_callback(end)
        await self.bus.start()
        await self.feed(VerificationKey(kid=self.key.kid, jwk=self.key.public_jwk), Heartbeat(at=self.clock.now()))
        point = self.app.app.point
        await point.loaded()
        assert await point.until(lambda: bool(point.keys.jwks()["keys"]), 10)
        self.client = await self._ends.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30)
        )
        self.token = self.token_of(f"account:{new_id()}")
        self.client.headers["authorization"] = f"Bearer {self.token}"
        return self

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()

    async def feed(self, *entries) -> None:
        await self.bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])

    async def cut_off(self, subject: str) -> None:
        cutoff = Cutoff(id=new_id(), subject=subject, epoch=1, reason="revoked", cause="test", at=self.clock.now())
        await self.feed(cutoff)
        assert await self.app.app.point.until(lambda: self.app.app.point.holds(subject, 1), 10)

    def token_of(self, subject: str) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": self.settings.issuer,
            "aud": "xindun",
            "sub": subject,
            "epc": 0,
            "perms": [],
            "jti": str(new_id()),
        }
        return sign(self.key, claims | {"iat": now, "nbf": now, "exp": now + 600})

    @property
    def pool(self) -> Pool:
        return self.upstreams["identity"].pool

    async def ready(self, count: int = 1) -> None:
        """Return when the gateway has `count` ready replicas of identity, and the document of its latest ones."""
        await eventually(lambda: sum(replica.ready for replica in self.pool._order) == count)
        upstream = self.upstreams["identity"]
        await eventually(lambda: not count or upstream._openapi_revision == self.pool.revision)

    async def raw(self, data: bytes, *, until_closed: bool = True) -> bytes:
        """Write bytes to the gateway's port, and return what comes back until it closes, or the first piece."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(15):
                return await (reader.read() if until_closed else reader.read(1 << 16))
        finally:
            writer.transport.abort()
