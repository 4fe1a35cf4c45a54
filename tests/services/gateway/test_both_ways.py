"""Whatever is asked and answered, the short way and the ordinary one hand on the same request and the same answer."""

import random
import re

from gateway.door import Door
from tests.services.gateway.gateway_world import OK, answer

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
MADE_ANEW = re.compile(
    rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}|00-[0-9a-f]{32}-[0-9a-f]{16}-01|;[0-9a-f]{64}|date: [^\r]*"
)
"""Ids, traces, stamps and dates, which differ from one time to the next."""


def framed(rng: random.Random, body: bytes) -> tuple[bytes, bytes]:
    """Return the line that frames a body, and the body as it is sent then."""
    if rng.random() < 0.5:
        return b"content-length: %d" % len(body), body
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return b"transfer-encoding: chunked", chunk + b"0\r\n\r\n"


def some_request(rng: random.Random, token: str) -> tuple[str, str, bytes]:
    method, path = rng.choice(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]), rng.choice(PATHS)
    lines, body = [b"host: x", b"connection: close", *rng.sample(LINES, rng.randint(0, 4))], b""
    if rng.random() < 0.9:
        lines.append(b"authorization: Bearer %b" % (token if rng.random() < 0.9 else "x.y.z").encode())
    if method.startswith("P") and b"content-length: 0" not in lines:
        line, body = framed(rng, b"b" * rng.choice([0, 1, 5000]))
        lines.append(line)
    rng.shuffle(lines)
    return method, path, b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines, b"", body])


def some_answer(rng: random.Random, method: str) -> bytes:
    status = rng.choice(STATUSES)
    line, body = framed(rng, b"y" * rng.choice([0, 2, 3000]))
    lines = [line, *rng.sample(ANSWER_LINES, rng.randint(0, 4))]
    rng.shuffle(lines)
    bodiless = method == "HEAD" or status in (204, 304)
    return b"\r\n".join([b"HTTP/1.1 %d x" % status, *lines, b"", b"" if bodiless else body])


def read(reply: bytes) -> tuple[bytes, set[bytes], bytes]:
    """Return the first line, the others, and the body, however it was framed."""
    head, _, body = MADE_ANEW.sub(b"*", reply).partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    if b"transfer-encoding: chunked" in lines:
        lines.remove(b"transfer-encoding: chunked")
        body = re.sub(rb"(?:^|\r\n)[0-9a-f]+\r\n", b"", body).removesuffix(b"\r\n")
        lines.append(b"content-length: %d" % len(body))
    return first, set(lines), body


async def test_both_ways_say_the_same(world, service, monkeypatch):
    rng, takes, answers = random.Random(20260101), Door._takes, Door.answer
    short = 0

    def answered(*args) -> None:
        nonlocal short
        short += 1
        answers(*args)

    async def seen_on(ways) -> tuple:
        monkeypatch.setattr(Door, "_takes", takes)
        service.behave = answer(OK)
        await world.client.get(path if path.startswith(("/identity", "/audit", "/datashare")) else "/health")
        monkeypatch.setattr(Door, "_takes", ways)
        service.behave = answer(said)
        service.seen.clear()
        reply = await world.raw(request)
        return read(reply), [(MADE_ANEW.sub(b"*", seen.head), seen.body) for seen in service.seen]

    monkeypatch.setattr(Door, "answer", answered)
    for _ in range(150):
        method, path, request = some_request(rng, world.token)
        said = some_answer(rng, method)
        assert await seen_on(takes) == await seen_on(lambda *_: False), (request, said)
    assert short > 150  # the loop's own requests among them
