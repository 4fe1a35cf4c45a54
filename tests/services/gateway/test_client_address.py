"""A caller's address: only the gateway may say it, and only of this very request."""

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from common.web.client_address import CLIENT_ADDRESS_HEADER, ClientAddressStamp, service_key
from common.web.middleware import RequestMiddleware
from tests.services.gateway.harness import ORIGIN_KEY

ID = "request-1234"
PEER = "192.0.2.1"


def stamp_of(service: str = "datashare", key: SecretStr | None = ORIGIN_KEY) -> ClientAddressStamp:
    return ClientAddressStamp(service, service_key(key, service))


async def origin_seen(headers: list[tuple[bytes, bytes]], stamp: ClientAddressStamp | None) -> str:
    """Return what a service behind `RequestMiddleware` takes as the caller's address."""
    seen = []

    async def app(scope, receive, send) -> None:
        seen.append(scope["client"][0])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def nothing(*_):
        return {"type": "http.request"}

    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": (PEER, 1), "query_string": b""}
    await RequestMiddleware(app, service="datashare", body_limit=1, timeout=5, stamp=stamp)(scope, nothing, nothing)
    return seen[0]


def ignored() -> float:
    return REGISTRY.get_sample_value("xindun_origin_ignored_total", {"service": "datashare"}) or 0.0


@pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1", "::ffff:10.0.0.1"])
async def test_a_service_takes_the_address_that_the_gateway_stamped(address):
    headers = [(b"x-request-id", ID.encode()), (CLIENT_ADDRESS_HEADER, stamp_of().of(ID, address))]
    assert await origin_seen(headers, stamp_of()) == address


FOREIGN = {
    "forged": lambda: b"10.1.2.3;" + b"0" * 64,
    "of another request": lambda: stamp_of().of("request-5678", "10.1.2.3"),
    "of another service": lambda: stamp_of("audit").of(ID, "10.1.2.3"),
    "for another service with this one's key": lambda: ClientAddressStamp(
        "audit", service_key(ORIGIN_KEY, "datashare")
    ).of(ID, "10.1.2.3"),
    "of another gateway": lambda: stamp_of(key=SecretStr("somebody else's key!")).of(ID, "10.1.2.3"),
    "on another address": lambda: stamp_of().of(ID, "10.1.2.3").replace(b"10.1.2.3", b"10.1.2.4"),
    "cut": lambda: stamp_of().of(ID, "10.1.2.3")[:-1],
    "with no address": lambda: b";" + b"0" * 64,
    "with no stamp": lambda: b"10.1.2.3",
    "with bytes beyond ASCII": lambda: b"10.1.2.3;" + b"\xe9" * 64,
    "empty": lambda: b"",
}


@pytest.mark.parametrize("stamp", FOREIGN.values(), ids=FOREIGN.keys())
async def test_a_stamp_that_proves_nothing_is_ignored_and_counted(stamp):
    before = ignored()
    assert await origin_seen([(b"x-request-id", ID.encode()), (CLIENT_ADDRESS_HEADER, stamp())], stamp_of()) == PEER
    assert ignored() == before + 1


async def test_without_a_key_no_stamp_is_made_and_none_is_believed():
    assert ClientAddressStamp("datashare", None).of(ID, "10.1.2.3") is None
    headers = [(b"x-request-id", ID.encode()), (CLIENT_ADDRESS_HEADER, stamp_of().of(ID, "10.1.2.3"))]
    assert await origin_seen(headers, ClientAddressStamp("datashare", None)) == PEER
    assert await origin_seen([(b"x-request-id", ID.encode())], stamp_of()) == PEER


def test_only_an_address_is_spoken_for():
    for address in ("", "unix:", "10.0.0.1;x", "10.0.0.1\n10.0.0.2", "testclient", "fe80::1%eth0"):
        assert stamp_of().of(ID, address) is None


async def test_the_gateway_speaks_for_the_peer_and_never_for_what_a_caller_claims(world, service):
    claimed = stamp_of("identity").of("request-from-outside", "10.9.9.9").decode()
    headers = {"x-request-id": "request-from-outside", "x-xindun-origin": claimed, "X-Forwarded-For": "10.9.9.9"}
    assert (await world.client.get("/identity/units", headers=headers)).status_code == 200
    (seen,) = service.seen
    (stamp,) = seen.header(CLIENT_ADDRESS_HEADER)
    (request_id,) = seen.header(b"x-request-id")
    assert stamp_of("identity").address(stamp.decode(), request_id.decode()) == "127.0.0.1"
    assert stamp_of("audit").address(stamp.decode(), request_id.decode()) is None
