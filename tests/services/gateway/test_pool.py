"""Several replicas of a service: who is asked, and what is asked again when one of them dies."""

import asyncio
import socket

import pytest

from tests.services.gateway.harness import OK, GatewayWorld, RawService, answer, eventually

KEY = {"idempotency-key": "0123456789abcdef"}


@pytest.fixture
async def two():
    async with RawService() as one, RawService() as other, GatewayWorld(one, other) as world:
        await world.ready(2)
        yield world, one, other


async def dies(service: RawService, _, writer) -> None:
    """Take the request, and end without a word."""
    writer.transport.abort()


async def test_both_replicas_are_asked(two):
    world, one, other = two
    for _ in range(20):
        assert (await world.client.get("/identity/units")).status_code == 200
    assert len(one.seen) == len(other.seen) == 10


async def test_a_replica_that_is_not_ready_is_asked_nothing_while_another_is(two):
    world, one, other = two
    one.ready = False
    await world.ready(1)
    for _ in range(10):
        assert (await world.client.get("/identity/units")).status_code == 200
    assert (one.seen, len(other.seen)) == ([], 10)
    one.ready = True
    await world.ready(2)
    for _ in range(10):
        await world.client.get("/identity/units")
    assert len(one.seen) == 5


async def test_when_none_is_ready_one_is_asked_all_the_same_so_that_it_can_say_why(two):
    world, one, other = two
    for service in (one, other):
        service.ready = False
        service.behave = answer(b"HTTP/1.1 503 x\r\nretry-after: 7\r\ncontent-length: 3\r\n\r\nwhy")
    await world.ready(0)
    found = await world.client.get("/identity/units")
    assert (found.status_code, found.text, found.headers["retry-after"]) == (503, "why", "7")


async def test_a_replica_that_takes_no_connection_is_passed_over_even_by_a_write(two):
    world, one, other = two
    await one.stop()
    for _ in range(10):
        found = await world.client.post("/identity/sessions", json={})
        assert found.status_code == 200
    assert len(other.seen) == 10
    await one.start()
    await world.ready(2)


@pytest.mark.parametrize(
    ("method", "headers", "repeated"),
    [
        ("GET", {}, True),
        ("HEAD", {}, True),
        ("POST", KEY, True),
        ("POST", {}, False),
        ("PUT", {}, False),
        ("DELETE", {}, False),
    ],
)
async def test_only_what_is_safe_is_asked_of_another_when_one_dies_with_it(two, method, headers, repeated):
    world, one, other = two
    one.behave = other.behave = dies
    lost = asyncio.create_task(world.client.request(method, "/identity/units", headers=headers))
    await eventually(lambda: one.seen or other.seen)
    first = one if one.seen else other
    (other if first is one else one).behave = answer(OK)
    found = await lost
    if repeated:
        assert found.status_code in (200, 503)  # the second may have died as well, before it was told otherwise
        assert len(one.seen) == len(other.seen) == 1
        assert one.seen[0].body == other.seen[0].body
    else:
        assert found.status_code == 502
        assert found.json()["type"] == "urn:xindun:problem:outcome-unknown"
        assert len(one.seen) + len(other.seen) == 1


async def test_a_write_with_a_key_and_a_body_is_sent_again_whole(two):
    world, one, other = two

    async def dies_once(_, __, writer) -> None:
        one.behave = other.behave = answer(OK)
        writer.transport.abort()

    one.behave = other.behave = dies_once
    body = b"x" * 500_000
    assert (await world.client.post("/identity/units", content=body, headers=KEY)).status_code == 200
    assert [one.seen[0].body == body, other.seen[0].body == body] == [True, True]


@pytest.mark.parametrize("path", ["/identity/sessions", "/identity/sessions/refresh", "/identity/oauth/token"])
async def test_what_gives_out_credentials_is_never_sent_twice_not_even_with_a_key(two, path):
    world, one, other = two

    async def dies(_, __, writer) -> None:
        writer.transport.abort()

    one.behave = other.behave = dies
    found = await world.client.post(path, json={}, headers=KEY)
    assert (found.status_code, found.json()["type"]) == (502, "urn:xindun:problem:outcome-unknown")
    assert len(one.seen) + len(other.seen) == 1


async def test_a_kept_connection_that_the_service_closed_meanwhile_loses_nothing(two):
    world, one, other = two
    for _ in range(4):
        await world.client.post("/identity/sessions", json={})
    kept = [(service, writer) for service in (one, other) for writer in service.open]
    for _, writer in kept:
        writer.write_eof()  # as after a keep-alive term that has passed
    await eventually(lambda: not any(writer in service.open for service, writer in kept))  # the gateway closed as well
    for _ in range(4):
        assert (await world.client.post("/identity/sessions", json={})).status_code == 200


async def test_a_connection_whose_answer_asks_for_its_end_is_not_used_again(two):
    world, one, other = two
    used: list[asyncio.StreamWriter] = []

    async def closing(_, __, writer) -> None:
        used.append(writer)
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")

    one.behave = other.behave = closing
    for _ in range(4):
        assert (await world.client.post("/identity/sessions", json={})).status_code == 200
    assert len(set(used)) == 4


async def test_a_rolling_restart_under_load_loses_no_request(two):
    """As `common.web.http_server` drains: not ready, every answer with `Connection: close`, then the door shuts."""
    world, one, other = two
    failed, done, stop = [], 0, False

    async def load() -> None:
        nonlocal done
        while not stop:
            found = await world.client.post("/identity/sessions", json={})
            done += 1
            if found.status_code != 200:
                failed.append(found.text)

    loads = [asyncio.create_task(load()) for _ in range(8)]
    for service in (one, other):
        service.ready = False
        service.behave = answer(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok")
        await world.ready(1)
        await eventually(lambda: all(not replica._idle for replica in world.pool._order if not replica.ready))
        before = done
        await eventually(lambda before=before: done > before + 20)
        await service.stop()
        await eventually(lambda before=before: done > before + 60)
        service.ready, service.behave = True, answer(OK)
        await service.start()
        await world.ready(2)
    stop = True
    await asyncio.gather(*loads)
    assert failed == []


async def test_every_address_behind_a_name_is_a_replica():
    if not socket.has_ipv6 or {a[4][0] for a in socket.getaddrinfo("localhost", 80)} != {"127.0.0.1", "::1"}:
        pytest.skip("localhost has one address here")
    async with RawService() as four, RawService(address="::1") as six:
        await six.stop()
        six.port = four.port
        await six.start()
        async with GatewayWorld(urls=f"http://localhost:{four.port}") as world:
            await world.ready(2)
            for _ in range(4):
                assert (await world.client.get("/identity/units")).status_code == 200
            assert len(four.seen) == len(six.seen) == 2
            assert four.seen[0].header(b"host") == [f"localhost:{four.port}".encode()]


async def test_a_restarted_replica_has_its_document_asked_again():
    schema = b'{"paths": {"/identity/%b": {}}}'
    service = RawService()
    service.document = schema % b"old"
    async with service, GatewayWorld(service) as world:
        await world.ready()
        assert "/identity/old" in (await world.client.get("/openapi.json")).json()["paths"]
        service.document = schema % b"new"
        assert "/identity/old" in (await world.client.get("/openapi.json")).json()["paths"]
        await service.stop()
        await world.ready(0)
        assert (await world.client.get("/openapi.json")).json()["paths"].keys() == {"/identity/old"}
        await service.start()
        await world.ready(1)
        assert "/identity/new" in (await world.client.get("/openapi.json")).json()["paths"]


async def test_readiness_asks_nobody_and_names_who_is_missing(two):
    world, one, other = two
    checks = one.health_checks + other.health_checks
    found = [await world.client.get("/ready") for _ in range(50)]
    assert {answer.status_code for answer in found} == {200}
    assert one.seen == other.seen == []
    assert one.health_checks + other.health_checks - checks < 50 * 8
    await one.stop()
    await other.stop()
    await eventually(lambda: not any(upstream.pool.ready for upstream in world.upstreams.values()))
    found = await world.client.get("/ready")
    assert found.status_code == 503
    assert found.json()["checks"] == {
        "feed": True,
        "identity": False,
        "datashare": False,
        "incident": False,
        "audit": False,
    }
