"""The short way from socket to socket: the same answers as the ordinary way, and every failure ends where that ends."""

import asyncio
import contextlib
import json
import signal
from collections import Counter

import httpx
import pytest

from common.web.client_address import CLIENT_ADDRESS_HEADER as ORIGIN
from gateway import refusals
from gateway.door import Door
from tests.services.gateway.gateway_world import OK, GatewayWorld, RawService, answer, eventually

KEY = {"idempotency-key": "0123456789abcdef"}
DIED = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"


@pytest.fixture
def ways(monkeypatch):
    """Counts the requests that came the short way, and those that had to go on the ordinary way."""
    seen: Counter[str] = Counter()
    goes_on, answers = Door.go_on, Door.answer

    def go_on(self, *args):
        seen["ordinary"] += 1
        goes_on(self, *args)

    def answered(self, *args):
        seen["short"] += 1
        answers(self, *args)

    monkeypatch.setattr(Door, "go_on", go_on)
    monkeypatch.setattr(Door, "answer", answered)
    return seen


@pytest.fixture
async def warm(world, service, ways):
    """The gateway with a connection that is kept to its service."""
    await world.client.get("/identity/units")
    service.seen.clear()
    ways.clear()
    return world


def request(world, method=b"GET", path=b"/identity/units", more=b"", body=b"", token=None) -> bytes:
    authorization = b"authorization: Bearer %b\r\n" % (token or world.token).encode()
    length = b"content-length: %d\r\n" % len(body) if body else b""
    return b"%b %b HTTP/1.1\r\nhost: x\r\n%b%b%b\r\n%b" % (method, path, authorization, length, more, body)


async def test_a_request_goes_on_and_its_answer_comes_back_without_a_task(warm, service, ways):
    service.behave = answer(
        b'HTTP/1.1 201 Made\r\ncontent-length: 2\r\netag: "3"\r\nserver: s\r\nx-request-id: theirs\r\nx-hop: 1\r\n'
        b"connection: keep-alive, x-hop\r\n\r\nok"
    )
    found = await warm.client.post("/identity/units?x=%41", json={"a": 1}, headers={"x-request-id": "request-1234"})
    assert (found.status_code, found.text, found.headers["etag"]) == (201, "ok", '"3"')
    assert found.headers.get_list("x-request-id") == ["request-1234"]
    assert not {"server", "x-hop", "connection"} & set(found.headers)
    assert len(found.headers.get_list("date")) == 1
    (seen,) = service.seen
    assert (seen.first, seen.body) == (b"POST /identity/units?x=%41 HTTP/1.1", b'{"a":1}')
    assert seen.header(b"x-request-id") == [b"request-1234"]
    assert ways == {"short": 1}


async def refused(world, how, token) -> None:
    """Bring about a refusal of `token` that is on record."""
    if how == "revoked":
        await world.cut_off(token[1])
        await world.client.get("/identity/units", headers={"authorization": f"Bearer {token[0]}"})


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("how", ["revoked", "unknown", "none", "two", "stale"])
async def test_a_refusal_is_the_same_on_both_ways(warm, service, ways, monkeypatch, how, language):
    monkeypatch.setattr(refusals, "WINDOW", 60.0)
    subject = f"account:0199a000-0000-7000-8000-{len(how):012d}"
    token = warm.token_of(subject)
    await refused(warm, how, (token, subject))
    headers = httpx.Headers({"authorization": f"Bearer {token}", "accept-language": language})
    if how == "unknown":
        headers["authorization"] = f"Bearer {token[:-8]}AAAAAAAA"
    elif how == "none":
        del headers["authorization"]
        warm.client.headers.pop("authorization")
    elif how == "two":
        headers = httpx.Headers([*headers.multi_items(), ("authorization", "Bearer x")])
    elif how == "stale":
        monkeypatch.setattr(warm.app._app.state.point, "_confirmed_at", -1e9)
        monkeypatch.setattr(warm.app._app.state.point, "_confirm", lambda _: None)
    service.seen.clear()
    ways.clear()
    try:
        short = await warm.client.post("/identity/units", content=b"x", headers=headers)
        assert ways == {"short": 1}
        # A body that follows its head in a piece of its own goes the ordinary way.
        ordinary = await warm.client.post("/identity/units", content=b"x" * 70_000, headers=headers)
        assert ways == {"short": 1, "ordinary": 1}
    finally:
        warm.client.headers["authorization"] = f"Bearer {warm.token}"
    assert service.seen == []
    assert short.status_code == ordinary.status_code == (503 if how == "stale" else 401)
    own = {"x-request-id", "date", "content-length"}
    assert {k: v for k, v in short.headers.items() if k not in own} == {
        k: v for k, v in ordinary.headers.items() if k not in own
    }
    said, also = short.json(), ordinary.json()
    assert said.pop("request_id") == short.headers["x-request-id"]
    also.pop("request_id"), said.pop("instance"), also.pop("instance")
    assert said == also


async def test_the_first_refusal_of_a_subject_is_on_record_before_it_is_answered(warm, ways):
    subject = "account:0199a000-0000-7000-8000-00000000ffff"
    token = {"authorization": f"Bearer {warm.token_of(subject)}"}
    assert (await warm.client.get("/identity/units", headers=token)).status_code == 200
    await warm.cut_off(subject)
    ways.clear()
    recorded: list[dict] = []

    async def take(messages):
        recorded.extend(json.loads(message.value) for message in messages if b"access.refused" in message.value)
        await publish(messages)

    publish, warm.bus.publish = warm.bus.publish, take
    try:
        first = await warm.client.get("/identity/units", headers=token)
        assert [entry["subject"] for entry in recorded] == [subject]
        second = await warm.client.get("/identity/units", headers=token)
        assert len(recorded) == 1
    finally:
        warm.bus.publish = publish
    assert [first.status_code, second.status_code] == [401, 401]
    assert ways == {"ordinary": 1, "short": 1}
    assert recorded[0]["requestid"] == first.headers["x-request-id"]


async def test_a_token_revoked_between_two_requests_of_one_connection_does_not_pass_again(warm, service):
    subject = "account:0199a000-0000-7000-8000-00000000eeee"
    token = warm.token_of(subject)
    reader, writer = await asyncio.open_connection("127.0.0.1", warm.port)
    writer.write(request(warm, token=token))
    assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
    await warm.cut_off(subject)
    writer.write(request(warm, token=token))
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401 ")
    writer.transport.abort()
    assert len(service.seen) == 1


def dies(*, after: bytes):
    async def behave(_, __, writer) -> None:
        writer.write(after)
        await writer.drain()
        await asyncio.sleep(0)
        writer.close()

    return behave


@pytest.mark.parametrize("after", [b"", b"HTTP/1.1 200 OK\r\ncontent-le"], ids=["before the answer", "within its head"])
@pytest.mark.parametrize(
    ("method", "headers", "problem", "times"),
    [
        ("GET", {}, "service-unavailable", 2),
        ("POST", KEY, "service-unavailable", 2),
        ("POST", {}, "outcome-unknown", 1),
        ("DELETE", {}, "outcome-unknown", 1),
    ],
)
async def test_a_service_that_dies_with_the_request(warm, service, ways, after, method, headers, problem, times):
    service.behave = dies(after=after)
    found = await warm.client.request(method, "/identity/units", headers=headers)
    assert found.json()["type"] == f"urn:xindun:problem:{problem}"
    assert found.status_code == (503 if times == 2 else 502)
    assert len(service.seen) == times
    (said,) = {seen.header(b"x-request-id")[0] for seen in service.seen}
    assert said == found.headers["x-request-id"].encode()  # one request, whoever was asked
    assert ways == {"ordinary": 1}
    assert not warm.upstreams["identity"]._under_way
    assert [replica.busy for replica in warm.replicas._order] == [0]


async def test_what_may_be_asked_again_is_answered_by_the_second_try(warm, service, ways):
    async def once(_, __, writer) -> None:
        service.behave = answer(OK)
        writer.close()

    service.behave = once
    found = await warm.client.post("/identity/units", json={"a": 1}, headers=KEY)
    assert (found.status_code, found.text) == (200, "ok")
    assert [seen.body for seen in service.seen] == [b'{"a":1}'] * 2
    assert ways == {"ordinary": 1}


async def test_a_service_that_dies_within_the_body_leaves_an_answer_that_breaks_off(warm, service, ways):
    service.behave = dies(after=DIED)
    reply = await warm.raw(request(warm))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\nhello")
    assert ways == {"ordinary": 1}


async def test_an_answer_in_pieces_goes_on_as_it_comes(warm, service, ways):
    more = asyncio.Event()

    async def behave(_, __, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await more.wait()
        writer.write(b"world")

    service.behave = behave
    reader, writer = await asyncio.open_connection("127.0.0.1", warm.port)
    writer.write(request(warm))
    assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200 ")  # nobody waits for the end
    more.set()
    assert await reader.readexactly(5) == b"world"
    writer.transport.abort()
    assert ways == {"ordinary": 1}


async def test_an_answer_that_does_not_come_is_given_up_by_the_sweep():
    never = asyncio.Event()

    async def behave(_, seen, writer) -> None:
        if b"never" in seen.first:
            await never.wait()
        writer.write(OK)

    async with RawService(behave) as service, GatewayWorld(service, request_timeout=-2.5) as world:
        await world.ready()
        for method, status, problem in (("GET", 503, "service-unavailable"), ("POST", 502, "outcome-unknown")):
            await world.ready()
            assert (await world.client.get("/identity/units")).status_code == 200
            found = await world.client.request(method, "/identity/never")
            assert (found.status_code, found.json()["type"]) == (status, f"urn:xindun:problem:{problem}")
    never.set()


async def test_a_client_that_goes_away_ends_the_request_at_the_service(warm, service, ways):
    async def behave(_, __, writer) -> None:
        await service.rest(writer)

    service.behave = behave
    _, writer = await asyncio.open_connection("127.0.0.1", warm.port)
    writer.write(request(warm, b"POST"))
    await eventually(lambda: service.seen)
    assert not ways
    writer.transport.abort()
    await eventually(lambda: not warm.upstreams["identity"]._under_way)
    assert [replica.busy for replica in warm.replicas._order] == [0]
    assert len(service.seen) == 1


async def test_pipelined_requests_are_answered_in_their_order(warm, service, ways):
    bad = request(warm, token="x.y.z")
    last = request(warm, b"POST", b"/identity/units/last", b"connection: close\r\n", b"x")
    reply = await warm.raw(request(warm) + bad + request(warm, b"POST", body=b"body") + bad + last)
    assert [reply[at + 9 : at + 12] for at in range(len(reply)) if reply.startswith(b"HTTP/1.1 ", at)] == [
        b"200",
        b"401",
        b"200",
        b"401",
        b"200",
    ]
    assert [seen.body for seen in service.seen] == [b"", b"body", b"x"]
    assert ways["short"] == 1


async def test_a_client_that_does_not_read_is_not_answered_for_ever(warm, service, ways):
    body = b"x" * 60_000
    service.behave = answer(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    reader, writer = await asyncio.open_connection("127.0.0.1", warm.port, limit=1 << 10)
    asked = 0
    with contextlib.suppress(TimeoutError):
        while True:
            writer.write(request(warm, path=b"/identity/units/%d" % asked))
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
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"content-length: 2"),
        (OK, b"content-length: 2"),
    ],
)
async def test_an_answer_is_framed_for_its_client(warm, service, ways, method, data, framing):
    head, _, body = data.partition(b"\r\n\r\n")
    service.behave = answer(head + b"\r\n\r\n" + (b"" if method == b"HEAD" else body))
    reply = await warm.raw(request(warm, method, more=b"connection: close\r\n"))
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"transfer-encoding" not in head
    if framing is None:
        assert (b"content-length" in head, body) == (False, b"")
    else:
        assert body == (b"" if method == b"HEAD" else b"ok")
        assert (framing in head) is (method == b"GET" or data == OK)
    assert ways == {"short": 1}


async def test_a_client_of_http_1_0_is_answered_once_and_the_connection_ends(warm, ways):
    reply = await warm.raw(request(warm).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nconnection: close\r\n" in reply
    assert reply.endswith(b"ok")
    assert ways == {"short": 1}


@pytest.mark.parametrize(
    "more", [b"expect: 100-continue\r\n", b"upgrade: h2c\r\nconnection: upgrade\r\n"], ids=["expect", "upgrade"]
)
async def test_what_has_more_to_say_than_a_request_goes_the_ordinary_way(warm, service, ways, more):
    reply = await warm.raw(request(warm, more=more), until_closed=False)
    assert reply.startswith((b"HTTP/1.1 100 ", b"HTTP/1.1 200 "))
    await eventually(lambda: service.seen)
    assert not ways


async def test_a_caller_behind_a_trusted_proxy_is_spoken_for(ways):
    async with RawService() as service, GatewayWorld(service, trusted_proxies="127.0.0.1") as world:
        await world.ready()
        for _ in range(2):
            headers = {"x-forwarded-for": "203.0.113.9, 10.1.2.3"}
            assert (await world.client.get("/identity/units", headers=headers)).status_code == 200
        assert [seen.header(ORIGIN)[0].split(b";")[0] for seen in service.seen] == [b"10.1.2.3"] * 2
        assert ways == {"ordinary": 1, "short": 1}


async def test_a_gateway_that_drains_ends_connections_and_finishes_what_is_under_way(ways):
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
        assert ways["short"] >= 1
