"""The limits on a request's head: bytes, number of headers, and time."""

import asyncio

import pytest

from common.web import http_protocol


@pytest.mark.parametrize(
    "data",
    [
        b"GET /health HTTP/1.1\r\nx: " + b"y" * 100_000,
        b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 101 + b"\r\n",
        b"GET /health HTTP/1.1\r\n" + b"x: %b\r\n" % (b"y" * 1000) * 40 + b"\r\n",
        b"GET /health?" + b"y" * 100_000,
        b"GET /health?" + b"y" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /identity/sessions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"
        + b"x: y\r\n" * 200
        + b"\r\n",
    ],
    ids=[
        "a header without end",
        "too many lines",
        "too many bytes",
        "a target without end",
        "a long target",
        "a trailer",
    ],
)
async def test_a_head_over_its_bounds_is_refused(world, data):
    reply = await world.raw(data)
    assert reply.startswith(b"HTTP/1.1 400 ")


async def test_a_head_in_small_pieces_counts_as_one(world):
    reader, writer = await asyncio.open_connection("127.0.0.1", world.port)
    try:
        writer.write(b"GET /health HTTP/1.1\r\nx: ")
        async with asyncio.timeout(10):
            for _ in range(http_protocol.MAX_HEAD_BYTES // 1000 + 1):
                assert not reader.at_eof()
                writer.write(b"y" * 1000)
                await writer.drain()
                await asyncio.sleep(0.001)
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("beginning", [b"", b"GET /heal", b"GET /health HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(world, monkeypatch, beginning):
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.2)
    assert await world.raw(beginning) == b""


async def test_a_request_of_ordinary_size_passes(world):
    lines = b"".join(b"x-%d: %b\r\n" % (number, b"y" * 200) for number in range(60))
    reply = await world.raw(b"GET /health HTTP/1.1\r\nconnection: close\r\nhost: x\r\n%b\r\n" % lines)
    assert reply.startswith(b"HTTP/1.1 200 ")
