"""Random requests and responses: every header arrives, except those that end at the gateway or that it sets itself."""

import random
import re
from collections import Counter

from tests.services.gateway.harness import answer

PATHS = (
    "/identity/units",
    "/identity/sessions",
    "/audit/checkpoint",
    "/datashare/queries?x=1&y=%20",
    "/datashare/resources/x/records",
    "/identity/%41",
    "/nowhere",
    "/health",
)
LINES = (
    b"accept-language: en",
    b"x-request-id: abcdefgh-1",
    b"x-request-id: bad id",
    b"traceparent: 00-%b-%b-01" % (b"a" * 32, b"b" * 16),
    b"connection: x-a",
    b"x-a: b",
    b"x-forwarded-for: 1.2.3.4",
    b"te: trailers",
    b"idempotency-key: 0123456789abcdef",
    b"X-UPPER: v",
    b"x-e: \xe9",
    b"x-empty:",
    b"content-length: 0",
)
ANSWER_LINES = (
    b'etag: "1"',
    b"Content-Type: application/json",
    b"set-cookie: a",
    b"set-cookie: b",
    b"x-request-id: theirs",
    b"server: s",
    b"connection: close",
    b"location: /x",
)
STATUSES = (200, 201, 204, 302, 304, 400, 404, 409, 500, 503)
SET_FOR_SERVICE = {
    b"host",
    b"content-length",
    b"transfer-encoding",
    b"x-request-id",
    b"traceparent",
    b"x-xindun-origin",
}
REMOVED_FROM_REQUEST = SET_FOR_SERVICE | {b"connection", b"te"}
SET_FOR_CLIENT = {b"date", b"server", b"connection", b"content-length", b"transfer-encoding", b"x-request-id"}


def framed(rng: random.Random, body: bytes) -> tuple[bytes, bytes]:
    """Return the line that frames a body, and the body as it is sent then."""
    if rng.random() < 0.5:
        return b"content-length: %d" % len(body), body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return b"transfer-encoding: chunked", chunk + b"0\r\n\r\n"


def some_request(rng: random.Random, token: str) -> tuple[str, bytes]:
    method, path = rng.choice(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]), rng.choice(PATHS)
    lines, body = [b"host: x", b"connection: close", *rng.sample(LINES, rng.randint(0, 4))], b""
    if rng.random() < 0.9:
        lines.append(b"authorization: Bearer %b" % (token if rng.random() < 0.9 else "x.y.z").encode())
    if method.startswith("P") and b"content-length: 0" not in lines:
        line, body = framed(rng, b"b" * rng.choice([0, 1, 5000]))
        lines.append(line)
    rng.shuffle(lines)
    return method, b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"", body])


def some_answer(rng: random.Random, method: str) -> bytes:
    status = rng.choice(STATUSES)
    line, body = framed(rng, b"y" * rng.choice([0, 2, 3000]))
    lines = [line, *rng.sample(ANSWER_LINES, rng.randint(0, 4))]
    rng.shuffle(lines)
    bodiless = method == "HEAD" or status in (204, 304)
    return b"\r\n".join([b"HTTP/1.1 %d x" % status, *lines, b"", b"" if bodiless else body])


def split(message: bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return the first line, the header lines in lower case, and the body without chunk framing."""
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    lines = [name.lower() + b": " + value.strip() for name, _, value in (line.partition(b":") for line in lines)]
    if b"transfer-encoding: chunked" in lines:
        body = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", body).removesuffix(b"\r\n")
    return first, lines, body


def forwarded(lines: list[bytes], removed: frozenset[bytes] | set[bytes]) -> Counter[bytes]:
    """Return the lines that must arrive at the other end."""
    named = {name for line in lines if line.startswith(b"connection: ") for name in line[12:].lower().split(b", ")}
    drop = removed | (named - {b"close"})
    return Counter(
        line for line in lines if (name := line.split(b": ")[0]) not in drop and not name.startswith(b"x-forw")
    )


async def test_whatever_is_sent_arrives_as_sent_but_for_what_the_gateway_sets(world, service):
    rng = random.Random(20260101)
    forwarded_requests = 0
    for _ in range(300):
        method, sent = some_request(rng, world.token)
        response = some_answer(rng, method)
        service.behave = answer(response)
        service.seen.clear()
        status, reply, body = split(await world.raw(sent))
        if not service.seen:
            assert int(status.split()[1]) in (200, 401, 404, 405), (sent, status)
            continue
        forwarded_requests += 1
        (seen,) = service.seen
        first, lines, content = split(sent)
        seen_first, seen_lines, _ = split(seen.head)
        assert (seen_first, seen.body) == (first, content), sent
        assert Counter(seen_lines) - forwarded(seen_lines, SET_FOR_SERVICE) == Counter(
            line for line in seen_lines if line.split(b": ")[0] in SET_FOR_SERVICE
        )
        assert forwarded(seen_lines, SET_FOR_SERVICE) == forwarded(lines, REMOVED_FROM_REQUEST), sent
        first, lines, content = split(response)
        assert status.split()[1] == first.split()[1]
        assert forwarded(reply, SET_FOR_CLIENT) == forwarded(lines, SET_FOR_CLIENT), response
        assert body == content
    assert forwarded_requests > 150
