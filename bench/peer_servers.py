"""The processes of `gateway-peers`: a tiny upstream service, and the gateway alone with an in-process bus."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import cast

import uvloop
from pydantic import SecretStr

from common.clock import SystemClock
from common.contracts.services import SERVICES
from common.contracts.topics import TOPICS
from common.enforcement.revocation_feed import Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.ids import new_id
from common.log_config import configure_logging
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

TOKEN_LIFETIME = 3600
BODY = b'{"id":"0199a000-0000-7000-8000-000000000001","name":"unit","version":1}'
RESPONSE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
AUTHORIZED = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


class TinyUpstream(asyncio.Protocol):
    """Answers each request, none of which has a body, with a constant response."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every complete request head."""
        self._received += data
        while b"\r\n\r\n" in self._received:
            head, _, self._received = self._received.partition(b"\r\n\r\n")
            # nginx keeps the connection of an `auth_request` only where the response has no body.
            self._transport.write(AUTHORIZED if head.startswith(b"GET /auth ") else RESPONSE)


async def serve_upstream(port: int) -> None:
    """Serve until the process is terminated."""
    server = await asyncio.get_running_loop().create_server(TinyUpstream, "127.0.0.1", port)
    await server.serve_forever()


async def serve_gateway(port: int, upstream: int, token_file: Path) -> None:
    """Serve until SIGTERM; write a valid access token to `token_file` first."""
    configure_logging("info")
    clock, bus, key, origin_key = SystemClock(), InProcessBus(TOPICS), SigningKey.generate(), SecretStr("x" * 32)
    settings = Settings(environment="development", origin_key=origin_key, drain_delay=0)
    targets = Target.parse(f"http://127.0.0.1:{upstream}", None)
    upstreams = {
        service: HttpUpstream(service, Pool(targets), ClientAddressStamp(service, service_key(origin_key, service)))
        for service in SERVICES
    }
    server = http_server(create_app(settings, bus, upstreams), host="127.0.0.1", port=port)
    now = int(clock.now().timestamp())
    claims = {"iss": settings.issuer, "aud": "xindun", "sub": f"account:{new_id()}", "epc": 0, "perms": []}
    times = {"jti": str(new_id()), "iat": now, "nbf": now, "exp": now + TOKEN_LIFETIME}
    token_file.write_text(sign(key, claims | times))  # noqa: ASYNC240 - before the server starts
    serving = asyncio.create_task(server.serve())
    await bus.start()
    entries = [VerificationKey(kid=key.kid, jwk=key.public_jwk), Heartbeat(at=clock.now())]
    await bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])
    gc.collect()
    gc.freeze()
    await serving
    await bus.stop()


if __name__ == "__main__":
    if sys.argv[1] == "upstream":
        uvloop.run(serve_upstream(int(sys.argv[2])))
    else:
        uvloop.run(serve_gateway(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])))
