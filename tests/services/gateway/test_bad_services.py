"""A service that answers with anything at all: the client gets an honest problem, and nothing of it reaches anybody else."""

import asyncio

import pytest

from gateway import pool
from tests.services.gateway.harness import OK, GatewayWorld, RawService, answer, eventually, request

KEY = {"idempotency-key": "0123456789abcdef"}
DIED = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello"
UNREADABLE = {
    "no HTTP": b"\x16\x03\x01\x02\x00hello",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "both lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "both lengths, the other way": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a signed length": b"HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\na",
    "no length at all": b"HTTP/1.1 200 OK\r\n\r\nhalf or whole?",
    "an unknown coding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 0\n\n",
    "a folded line": b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "a bare carriage return": b"HTTP/1.1 200 OK\r\nx: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n",
    "a status that is none": b"HTTP/1.1 999 OK\r\ncontent-length: 0\r\n\r\n",
    "a status below all": b"HTTP/1.1 099 OK\r\ncontent-length: 0\r\n\r\n",
    "another protocol from here on": b"HTTP/1.1 101 x\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxyz",
    "too many interim answers": b"HTTP/1.1 102 x\r\n\r\n" * 20 + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    "too many headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"content-length: 0\r\n\r\n",
    "a header without end": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000,
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_answer_is_a_502_and_its_connection_is_not_used_again(world, service, data):
    service.behave = answer(data)
    found = await world.client.get("/identity/units")
    assert found.status_code == 502
    assert found.json()["type"] == "urn:xindun:problem:bad-answer"
    assert len(service.seen) == 1  # repeating would not make it readable
    service.behave = answer(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    for _ in range(3):
        assert (await world.client.get("/identity/units")).text == "ok"


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_is_no_answer_to_a_write_leaves_its_outcome_unknown(world, service, data):
    service.behave = answer(data)
    found = await world.client.post("/identity/sessions", json={})
    assert found.status_code == 502
    assert found.json()["type"] == "urn:xindun:problem:outcome-unknown"
    assert "Idempotency-Key" in found.json()["detail"]
    assert len(service.seen) == 1


WHOLE = b"HTTP/1.1 200 OK\r\nx-a: b\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"


async def test_an_answer_that_breaks_off_at_any_byte_never_seems_whole(world, service):
    async def behave(_, __, writer) -> None:
        writer.write(WHOLE[:end])
        await writer.drain()
        writer.close()

    service.behave = behave
    for end in range(len(WHOLE)):
        service.seen.clear()
        reply = await world.raw(request(world, more=b"connection: close\r\n"))
        if end < WHOLE.index(b"\r\n\r\n") + 4:
            assert reply.startswith(b"HTTP/1.1 503 "), (end, reply[:100])
            assert len(service.seen) == 2  # a GET may be asked again, once
        else:
            assert reply.startswith(b"HTTP/1.1 200 "), end
            assert not reply.endswith(b"0\r\n\r\n"), end


async def test_an_answer_shorter_than_it_announced_never_seems_whole(world, service):
    async def behave(_, __, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello")
        await writer.drain()
        writer.close()

    service.behave = behave
    reply = await world.raw(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n")
    assert reply.endswith(b"hello")
    assert b"content-length: 10\r\n" in reply


async def test_a_second_answer_that_nobody_asked_for_is_nobodys(world, service):
    service.behave = answer(
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"
    )
    for _ in range(5):
        assert (await world.client.get("/identity/units")).text == "ok"


async def test_a_second_answer_that_comes_later_is_nobodys(world, service):
    late: list[asyncio.StreamWriter] = []

    async def behave(_, __, writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        late.append(writer)

    service.behave = behave
    assert (await world.client.get("/identity/units")).text == "ok"
    before = service.connections
    late[0].write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged")
    await late[0].drain()
    await eventually(lambda: not world.pool._order[0]._idle or world.pool._order[0]._idle[0]._error)
    assert (await world.client.get("/identity/units")).text == "ok"
    assert service.connections == before + 1


async def test_a_service_that_never_answers_is_given_up_before_the_client_is():
    never = asyncio.Event()

    async def behave(*_) -> None:
        await never.wait()

    async with RawService(behave) as service, GatewayWorld(service, request_timeout=-2.5) as world:
        await world.ready()
        found = await world.client.get("/identity/units")
        assert (found.status_code, found.json()["type"]) == (503, "urn:xindun:problem:service-unavailable")
        found = await world.client.post("/identity/sessions", json={})
        assert (found.status_code, found.json()["type"]) == (502, "urn:xindun:problem:outcome-unknown")
        found = await world.client.post("/identity/units", json={}, headers={"idempotency-key": "0123456789abcdef"})
        assert (found.status_code, found.json()["type"]) == (503, "urn:xindun:problem:service-unavailable")
    never.set()


async def test_an_answer_that_comes_a_byte_at_a_time_arrives(world, service):
    async def behave(_, __, writer) -> None:
        for byte in WHOLE:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)

    service.behave = behave
    found = await world.client.get("/identity/units")
    assert (found.text, found.headers["x-a"]) == ("hello", "b")


async def test_a_replica_that_is_only_slow_does_not_hold_up_others(world, service):
    gate = asyncio.Event()

    async def behave(_, seen, writer) -> None:
        if b"slow" in seen.first:
            await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    service.behave = behave
    slow = [asyncio.create_task(world.client.get(f"/identity/slow/{number}")) for number in range(20)]
    await eventually(lambda: len(service.seen) == 20)
    assert (await world.client.get("/identity/units")).text == "ok"
    gate.set()
    assert {(await task).status_code for task in slow} == {200}


async def test_more_requests_than_connections_wait_a_moment_and_are_then_refused(monkeypatch):
    monkeypatch.setattr(pool, "MAX_REQUESTS_PER_REPLICA", 4)
    monkeypatch.setattr(pool, "POOL_TIMEOUT", 0.3)
    gate = asyncio.Event()

    async def behave(_, __, writer) -> None:
        await gate.wait()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    async with RawService(behave) as service, GatewayWorld(service) as world:
        await world.ready()
        waiting = [asyncio.create_task(world.client.get("/identity/units")) for _ in range(4)]
        await eventually(lambda: len(service.seen) == 4)
        found = await world.client.get("/identity/units")
        assert (found.status_code, found.json()["type"]) == (503, "urn:xindun:problem:overloaded")
        assert found.headers["retry-after"]
        one_more = asyncio.create_task(world.client.get("/identity/units"))
        await eventually(lambda: world.pool._waiting)
        gate.set()
        assert {(await task).status_code for task in [*waiting, one_more]} == {200}
        assert len(service.seen) == 5


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
async def test_a_service_that_dies_with_the_request(world, service, after, method, headers, problem, times):
    service.behave = dies(after=after)
    found = await world.client.request(method, "/identity/units", headers=headers)
    assert found.json()["type"] == f"urn:xindun:problem:{problem}"
    assert found.status_code == (503 if times == 2 else 502)
    assert len(service.seen) == times
    (said,) = {seen.header(b"x-request-id")[0] for seen in service.seen}
    assert said == found.headers["x-request-id"].encode()  # one request, whoever was asked
    assert not world.upstreams["identity"]._in_flight
    assert [replica.requests for replica in world.pool._order] == [0]


async def test_what_may_be_asked_again_is_answered_by_the_second_try(world, service):
    async def once(_, __, writer) -> None:
        service.behave = answer(OK)
        writer.close()

    service.behave = once
    found = await world.client.post("/identity/units", json={"a": 1}, headers=KEY)
    assert (found.status_code, found.text) == (200, "ok")
    assert [seen.body for seen in service.seen] == [b'{"a":1}'] * 2


async def test_a_service_that_dies_within_the_body_leaves_an_answer_that_breaks_off(world, service):
    service.behave = dies(after=DIED)
    reply = await world.raw(request(world))
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert reply.endswith(b"\r\n\r\nhello")
