"""Requests and responses through the gateway: complete, within limits, without hop-by-hop headers."""

import asyncio
import contextlib
import hashlib
import signal

import httpx
import pytest

from common.web.client_address import CLIENT_ADDRESS_HEADER
from tests.services.gateway.harness import OK, GatewayWorld, RawService, answer, eventually, request

MEGABYTE = 1 << 20


async def test_a_request_and_its_answer_go_through(world, service):
    found = await world.client.post("/identity/units?x=%41&y=1", json={"name": "单位"})
    assert (found.status_code, found.text) == (200, "ok")
    (seen,) = service.seen
    assert seen.first == b"POST /identity/units?x=%41&y=1 HTTP/1.1"
    assert seen.body == b'{"name":"\xe5\x8d\x95\xe4\xbd\x8d"}'
    assert seen.header(b"authorization") == [f"Bearer {world.token}".encode()]
    assert seen.header(b"x-request-id") == [found.headers["x-request-id"].encode()]
    assert len(seen.header(b"traceparent")) == 1


async def test_connections_are_kept_and_used_again(world, service):
    before = service.connections
    for _ in range(10):
        assert (await world.client.get("/identity/units")).status_code == 200
    assert service.connections <= before + 1


async def test_headers_of_one_hop_end_here_both_ways(world, service):
    service.behave = answer(
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: x\r\n"
        b'upgrade: h2c\r\ntrailer: x\r\nserver: s\r\netag: "3"\r\ncontent-length: 2\r\n\r\nok'
    )
    dropped = {
        "keep-alive": "1",
        "te": "trailers",
        "trailer": "x",
        "proxy-authorization": "x",
        "proxy-connection": "x",
        "x-forwarded-for": "10.0.0.1",
        "forwarded": "for=10.0.0.1",
        "x-xindun-origin": "10.0.0.1;00",
        "x-hop": "1",
    }
    found = await world.client.get(
        "/identity/units", headers=dropped | {"connection": "keep-alive, x-hop", "x-kept": "1"}
    )
    (seen,) = service.seen
    for name in dropped.keys() - {"x-xindun-origin"}:
        assert seen.header(name.encode()) == [], name
    assert seen.header(b"connection") == []
    assert seen.header(b"x-kept") == [b"1"]
    assert [value.split(b";")[0] for value in seen.header(b"x-xindun-origin")] == [b"127.0.0.1"]
    assert found.headers["etag"] == '"3"'
    for name in ("x-hop", "keep-alive", "proxy-authenticate", "upgrade", "trailer", "server"):
        assert name not in found.headers
    assert len(found.headers.get_list("date")) == 1


@pytest.mark.parametrize(
    ("status", "more"), [(204, b""), (204, b"content-length: 5\r\n"), (304, b""), (304, b"content-length: 5\r\n")]
)
async def test_an_answer_without_a_body_ends_with_its_head(world, service, status, more):
    service.behave = answer(b"HTTP/1.1 %d x\r\netag: x\r\n%b\r\n" % (status, more))
    for _ in range(2):
        found = await world.client.get("/identity/units")
        assert (found.status_code, found.content, found.headers["etag"]) == (status, b"", "x")


@pytest.mark.parametrize("framing", [b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b""])
async def test_an_answer_to_head_has_no_body_whatever_its_head_announces(world, service, framing):
    service.behave = answer(b"HTTP/1.1 200 OK\r\n%b\r\n" % framing)
    for _ in range(2):
        found = await world.client.head("/identity/units")
        assert (found.status_code, found.content) == (200, b"")
    service.behave = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert (await world.client.get("/identity/units")).text == "ok"


async def test_an_answer_in_chunks_is_put_together(world, service):
    service.behave = answer(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n10\r\n"
        + b"d" * 16
        + b"\r\n0\r\nx: y\r\n\r\n"
    )
    found = await world.client.get("/identity/units")
    assert found.content == b"abc" + b"d" * 16
    assert "x" not in found.headers


async def test_interim_answers_are_not_the_answer(world, service):
    service.behave = answer(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
        b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok"
    )
    found = await world.client.get("/identity/units")
    assert (found.status_code, found.text) == (201, "ok")
    assert "link" not in found.headers


async def test_expect_is_answered_here_and_not_asked_again(world, service):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(b"POST /identity/sessions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    assert service.seen == []
    writer.write(b"body")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    assert service.seen[0].body == b"body"
    assert service.seen[0].header(b"expect") == []
    writer.transport.abort()


async def test_a_file_of_64_megabytes_goes_up_in_pieces(world, service):
    async def parts():
        for number in range(64):
            yield bytes([number]) * MEGABYTE

    expected = hashlib.sha256()
    for number in range(64):
        expected.update(bytes([number]) * MEGABYTE)
    for headers in ({}, {"content-length": str(64 * MEGABYTE)}):
        service.seen.clear()
        found = await world.client.post("/datashare/resources/x/records", content=parts(), headers=headers)
        assert found.status_code == 200
        assert hashlib.sha256(service.seen[0].body).digest() == expected.digest()
    assert service.left == []


async def test_a_file_over_its_bound_is_413_and_the_service_never_sees_it_whole(world, service):
    async def parts():
        for _ in range(66):
            yield b"x" * MEGABYTE

    found = await world.client.post("/datashare/resources/x/records", content=parts())
    assert found.status_code == 413
    assert service.seen == []


async def test_a_service_that_takes_nothing_holds_the_client_back(world, service):
    service.reads_bodies = False
    stuck = asyncio.Event()

    async def behave(*_) -> None:
        await stuck.wait()

    service.behave = behave
    _, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(
        b"POST /datashare/resources/x/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\ncontent-length: %d\r\n\r\n"
        % (world.token.encode(), 64 * MEGABYTE)
    )
    sent = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            while sent < 64 * MEGABYTE:
                writer.write(b"x" * MEGABYTE)
                await writer.drain()
                sent += MEGABYTE
    assert sent < 24 * MEGABYTE  # what the kernel's buffers hold, twice
    stuck.set()
    writer.transport.abort()


async def test_a_client_that_takes_nothing_holds_the_service_back(world, service):
    wrote = 0

    async def behave(_, __, writer) -> None:
        nonlocal wrote
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (64 * MEGABYTE))
        for _ in range(64):
            writer.write(b"x" * MEGABYTE)
            await writer.drain()
            wrote += MEGABYTE

    service.behave = behave
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1 << 16)
    writer.write(request(world, path=b"/audit/evidence"))
    head = await reader.readuntil(b"\r\n\r\n")
    before = -1
    while wrote != before:  # until it stands still
        before = wrote
        await asyncio.sleep(0.3)
    assert wrote < 24 * MEGABYTE
    assert head.startswith(b"HTTP/1.1 200")
    assert len(await reader.readexactly(64 * MEGABYTE)) == 64 * MEGABYTE
    writer.transport.abort()


async def test_a_service_may_answer_before_it_has_the_whole_file(world, service):
    service.reads_bodies = False

    async def behave(_, __, writer) -> None:
        writer.write(b"HTTP/1.1 413 x\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno")
        await service.rest(writer)

    service.behave = behave

    async def parts():
        for _ in range(8):
            yield b"x" * MEGABYTE
            await asyncio.sleep(0.02)

    found = await world.client.post("/datashare/resources/x/records", content=parts())
    assert (found.status_code, found.text) == (413, "no")


async def test_a_client_that_goes_away_ends_the_request_at_the_service(world, service):
    async def behave(_, __, writer) -> None:
        await asyncio.sleep(60)

    service.behave = behave
    with pytest.raises(httpx.ReadTimeout):
        await world.client.get("/identity/units", timeout=0.3)
    assert len(service.seen) == 1
    upstream = world.upstreams["identity"]
    await eventually(lambda: not upstream._in_flight)
    assert [replica.requests for replica in world.pool._order] == [0]


async def test_a_file_whose_client_goes_away_is_never_taken_as_whole(world, service):
    for framing in (b"content-length: 4000000", b"transfer-encoding: chunked"):
        _, writer = await asyncio.open_connection("127.0.0.1", world.port)
        head = b"POST /datashare/resources/x/records HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %b\r\n%b\r\n\r\n"
        body = b"x" * 2_000_000
        writer.write(
            head % (world.token.encode(), framing) + (b"%x\r\n" % len(body) if b"chunked" in framing else b"") + body
        )
        await writer.drain()
        upstream = world.upstreams["datashare"]
        await eventually(lambda upstream=upstream: any(e.upload_task for e in upstream._in_flight))
        writer.transport.abort()
        await eventually(lambda upstream=upstream: not upstream._in_flight)
    assert service.seen == []


async def test_a_service_that_accepts_no_connection_is_a_503():
    service = RawService()
    await service.start()
    async with GatewayWorld(service) as world:
        await world.ready()
        await service.stop()
        found = await world.client.post("/identity/sessions", json={})
        assert found.status_code == 503
        assert found.headers["retry-after"]
        assert found.json()["type"] == "urn:xindun:problem:service-unavailable"
        assert found.json()["service"] == "identity"
        await world.ready(0)
        ready = await world.client.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["identity"] is False


async def test_an_answer_in_pieces_goes_on_as_it_comes(world, service):
    more = asyncio.Event()

    async def behave(_, __, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await more.wait()
        writer.write(b"world")

    service.behave = behave
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    writer.write(request(world))
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")  # before the response ends
    more.set()
    assert await reader.readexactly(5) == b"world"
    writer.transport.abort()


async def test_pipelined_requests_are_answered_in_their_order(world, service):
    bad = request(world, token="x.y.z")
    last = request(world, b"POST", b"/identity/units/last", b"connection: close\r\n", b"x")
    reply = await world.raw(request(world) + bad + request(world, b"POST", body=b"body") + bad + last)
    assert [reply[at + 9 : at + 12] for at in range(len(reply)) if reply.startswith(b"HTTP/1.1 ", at)] == [
        b"200",
        b"401",
        b"200",
        b"401",
        b"200",
    ]
    assert [seen.body for seen in service.seen] == [b"", b"body", b"x"]


async def test_a_client_that_does_not_read_is_not_answered_for_ever(world, service):
    body = b"x" * 60_000
    service.behave = answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port, limit=1 << 10)
    asked = 0
    with contextlib.suppress(TimeoutError):
        while True:
            writer.write(request(world, path=b"/identity/units/%d" % asked))
            asked += 1
            async with asyncio.timeout(0.5):
                await eventually(lambda asked=asked: len(service.seen) == asked)
    assert asked * len(body) < 32_000_000  # what the kernel's buffers hold
    for _ in range(asked):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert await reader.readexactly(len(body)) == body
    writer.transport.abort()
    assert [seen.first for seen in service.seen] == [b"GET /identity/units/%d HTTP/1.1" % n for n in range(asked)]


@pytest.mark.parametrize("method", [b"GET", b"HEAD"])
@pytest.mark.parametrize(
    ("data", "framing"),
    [
        (b"HTTP/1.1 204 x\r\ncontent-length: 5\r\n\r\n", None),
        (b"HTTP/1.1 304 x\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"transfer-encoding: chunked"),
        (OK, b"content-length: 2"),
    ],
)
async def test_an_answer_is_framed_for_its_client(world, service, method, data, framing):
    head, _, body = data.partition(b"\r\n\r\n")
    service.behave = answer(head + b"\r\n\r\n" + (b"" if method == b"HEAD" else body))
    reply = await world.raw(request(world, method, more=b"connection: close\r\n"))
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    lengths = [
        line for line in head.lower().split(b"\r\n") if line.startswith((b"content-length", b"transfer-encoding"))
    ]
    assert lengths == ([framing] if framing and (method == b"GET" or data == OK) else [])
    if framing is None or method == b"HEAD":
        assert body == b""
    else:
        assert body == (b"2\r\nok\r\n0\r\n\r\n" if b"chunked" in framing else b"ok")


async def test_a_client_of_http_1_0_is_answered_once_and_the_connection_ends(world):
    reply = await world.raw(request(world).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in reply
    assert reply.endswith(b"ok")


@pytest.mark.parametrize(
    "more", [b"expect: 100-continue\r\n", b"upgrade: h2c\r\nconnection: upgrade\r\n"], ids=["expect", "upgrade"]
)
async def test_an_expectation_or_an_upgrade_does_not_change_the_request(world, service, more):
    reply = await world.raw(request(world, more=more), until_closed=False)
    assert reply.startswith((b"HTTP/1.1 100 ", b"HTTP/1.1 200 "))
    await eventually(lambda: service.seen)


async def test_a_caller_behind_a_trusted_proxy_is_spoken_for():
    async with RawService() as service, GatewayWorld(service, trusted_proxies="127.0.0.1") as world:
        await world.ready()
        for _ in range(2):
            headers = {"x-forwarded-for": "203.0.113.9, 10.1.2.3"}
            assert (await world.client.get("/identity/units", headers=headers)).status_code == 200
        assert [seen.header(CLIENT_ADDRESS_HEADER)[0].split(b";")[0] for seen in service.seen] == [b"10.1.2.3"] * 2


async def test_a_gateway_that_drains_ends_connections_and_finishes_what_is_under_way():
    gate = asyncio.Event()

    async def behave(_, seen, writer) -> None:
        if b"slow" in seen.first:
            await gate.wait()
        writer.write(OK)

    async with RawService(behave) as service, GatewayWorld(service, drain_delay=0.2) as world:
        await world.ready()
        await world.client.get("/identity/units")
        early = asyncio.create_task(world.raw(request(world, b"POST", b"/identity/slow")))
        await eventually(lambda: len(service.seen) == 2)
        world.server._signalled(signal.SIGTERM)
        reply = await world.raw(request(world))
        assert reply.startswith(b"HTTP/1.1 200 ")
        assert reply.count(b"\r\nconnection: close\r\n") == 1
        await eventually(lambda: world.server.should_exit)
        await eventually(lambda: not world.server.servers[0].is_serving())
        assert not early.done()
        gate.set()
        assert (await early).endswith(b"ok")
        await world.serving
