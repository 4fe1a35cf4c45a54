"""Where the gateway sees one request, the service sees one: nothing that two readers could count differently goes on."""

import pytest

from tests.services.gateway.harness import RawService

INNER = b"GET /identity/secret HTTP/1.1\r\nhost: x\r\n\r\n"


def post(headers: bytes, body: bytes = b"", path: bytes = b"/identity/sessions") -> bytes:
    return b"POST %b HTTP/1.1\r\nhost: x\r\n%b\r\n%b" % (path, headers, body)


REFUSED = {
    "both lengths": post(b"content-length: 4\r\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n" + INNER),
    "both, the other way": post(b"transfer-encoding: chunked\r\ncontent-length: 4\r\n", b"0\r\n\r\n" + INNER),
    "two lengths": post(b"content-length: 0\r\ncontent-length: 44\r\n", INNER),
    "a list of lengths": post(b"content-length: 0, 44\r\n", INNER),
    "a signed length": post(b"content-length: +0\r\n", INNER),
    "a length in hex": post(b"content-length: 0x0\r\n", INNER),
    "a coding in disguise": post(b"transfer-encoding: xchunked\r\n", b"0\r\n\r\n" + INNER),
    "a coding after chunks": post(b"transfer-encoding: chunked, identity\r\n", b"0\r\n\r\n" + INNER),
    "a coding before chunks": post(b"connection: close\r\ntransfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    "a space before the colon": post(b"transfer-encoding : chunked\r\n", b"0\r\n\r\n" + INNER),
    "a vertical tab": post(b"transfer-encoding:\x0bchunked\r\n", b"0\r\n\r\n" + INNER),
    "bare line feeds": b"POST /identity/sessions HTTP/1.1\nhost: x\ncontent-length: 0\n\n" + INNER,
    "a bare line feed within": post(b"x: y\ntransfer-encoding: chunked\r\n", b"0\r\n\r\n" + INNER),
    "a bare carriage return": post(b"x: y\rtransfer-encoding: chunked\r\n", b"0\r\n\r\n" + INNER),
    "a folded line": post(b"x: y\r\n transfer-encoding: chunked\r\n", b"0\r\n\r\n" + INNER),
    "a NUL": post(b"x: y\0z\r\n"),
    "chunk sizes by line feed": post(b"transfer-encoding: chunked\r\n", b"1\nx\r\n0\r\n\r\n" + INNER),
    "a chunk size in hex notation": post(b"transfer-encoding: chunked\r\n", b"0x0\r\n\r\n" + INNER),
    "a huge chunk size": post(b"transfer-encoding: chunked\r\n", b"ffffffffffffffff0\r\n\r\n" + INNER),
    "a space in the target": b"GET /identity/sessions HTTP/1.1\r\nx: HTTP/1.1\r\n\r\n".replace(
        b"sessions ", b"ses sions "
    ),
    "a tab in the target": b"GET /identity/ses\tsions HTTP/1.1\r\nhost: x\r\n\r\n",
    "a byte beyond ASCII in the target": b"GET /identity/\xe5 HTTP/1.1\r\nhost: x\r\n\r\n",
    "no name": post(b": x\r\n"),
    "a line without colon": post(b"nothing\r\n"),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED.keys())
async def test_a_request_in_doubt_is_refused_and_nothing_of_it_goes_on(world, service: RawService, data):
    reply = await world.raw(data)
    assert reply.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")), reply
    assert reply.count(b"HTTP/1.1 ") == 1
    assert [seen.first for seen in service.seen if b"ready" not in seen.first] == []
    assert service.left == []


async def test_a_trailer_is_no_header(world, service):
    trailer = (
        b"x-late: 1\r\nauthorization: Bearer x\r\nx-xindun-origin: 10.0.0.1;00\r\nidempotency-key: 0123456789abcdef\r\n"
        b"connection: x-request-id\r\n"
    )
    chunked = b"transfer-encoding: chunked\r\nconnection: close\r\n"
    reply = await world.raw(post(chunked, b"4\r\nbody\r\n0\r\n%b\r\n" % trailer))
    assert reply.startswith(b"HTTP/1.1 200 ")
    (seen,) = service.seen
    assert seen.body == b"body"
    for name in (b"x-late", b"authorization", b"idempotency-key"):
        assert seen.header(name) == []
    assert len(seen.header(b"x-xindun-origin")) == 1
    assert seen.header(b"content-length") == [b"4"]
    assert seen.header(b"transfer-encoding") == []


async def test_pipelined_requests_are_answered_one_after_the_other(world, service):
    first, last = post(b"content-length: 4\r\n", b"body"), post(b"connection: close\r\ncontent-length: 1\r\n", b"x")
    reply = await world.raw(first + first + last)
    assert reply.count(b"HTTP/1.1 200 ") == 3
    assert [seen.body for seen in service.seen] == [b"body", b"body", b"x"]


async def test_an_upgrade_is_no_way_around_the_gateway(world, service):
    for protocol in (b"websocket", b"h2c"):
        data = post(b"upgrade: %b\r\nconnection: upgrade\r\ncontent-length: 4\r\n" % protocol, b"body" + INNER)
        reply = await world.raw(data, until_closed=False)
        assert not reply.startswith(b"HTTP/1.1 101")
    assert [seen.first for seen in service.seen if b"secret" in seen.first] == []
    for seen in service.seen:
        assert seen.header(b"upgrade") == seen.header(b"connection") == []
    assert service.left == []


@pytest.mark.parametrize(
    "first",
    [
        b"GET http://elsewhere/identity/units HTTP/1.1",
        b"CONNECT identity:8001 HTTP/1.1",
        b"OPTIONS * HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"GET //identity/units HTTP/1.1",
        b"GET /../identity/units HTTP/1.1",
        b"GET /%69dentity/units HTTP/1.1",
    ],
)
async def test_a_target_of_another_form_reaches_a_service_only_as_a_path_of_its_own(world, service, first):
    request = first + b"\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer %b\r\n\r\n" % world.token.encode()
    reply = await world.raw(request)
    assert reply.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200")), reply
    for seen in service.seen:
        assert seen.first.startswith((b"GET /identity/", b"GET /%69dentity/")), seen.first
    assert service.left == []
