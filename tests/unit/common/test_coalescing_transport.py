"""Writes of one iteration of the event loop leave together."""

import asyncio

import pytest

from common.web.http_protocol import MAX_BUFFERED_BYTES, CoalescingTransport


class Recorded:
    """A transport that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
async def pair() -> tuple[Recorded, CoalescingTransport]:
    recorded = Recorded()
    return recorded, CoalescingTransport(recorded, asyncio.get_running_loop())


async def test_head_and_body_leave_together_at_the_end_of_the_turn(pair):
    recorded, transport = pair
    transport.write(b"head")
    transport.write(b"body")
    assert recorded.written == []
    await asyncio.sleep(0)
    assert recorded.written == [b"headbody"]


async def test_what_is_long_leaves_at_once_so_that_a_slow_reader_is_felt(pair):
    recorded, transport = pair
    transport.write(b"x" * MAX_BUFFERED_BYTES)
    transport.write(b"y")
    assert recorded.written == [b"x" * MAX_BUFFERED_BYTES + b"y"]


async def test_a_close_takes_along_what_was_written_before_it(pair):
    recorded, transport = pair
    transport.write(b"last")
    transport.close()
    assert (recorded.written, recorded.closed) == ([b"last"], True)


async def test_nothing_is_written_to_a_connection_that_was_lost_meanwhile(pair):
    recorded, transport = pair
    transport.write(b"late")
    recorded.closed = True
    await asyncio.sleep(0)
    assert recorded.written == []


async def test_a_flush_writes_at_once_and_only_once(pair):
    recorded, transport = pair
    transport.write(b"head")
    transport.write(b"body")
    transport.flush()
    assert recorded.written == [b"headbody"]
    await asyncio.sleep(0)
    assert recorded.written == [b"headbody"]
