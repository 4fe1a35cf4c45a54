"""The gateway's own record of refusals."""

import asyncio

import pytest

from common.clock import ManualClock
from common.contracts.events.gateway import AccessRefused
from common.messaging.bus import BusUnavailable
from common.messaging.events import Envelope
from gateway.denial_log import DenialLog


class Recorder:
    """Stands for the bus where only publishing matters: takes, or refuses when told to."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.away = False
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, messages) -> None:
        if self.away:
            raise BusUnavailable
        self.taken += [Envelope.model_validate_json(message.value) for message in messages]
        await self.open.wait()


def _denial(subject: str = "account:1") -> AccessRefused:
    return AccessRefused(
        request_id="request-1", subject=subject, method="GET", route="/identity", problem="credential-revoked"
    )


async def test_a_denial_is_on_the_bus_before_record_returns():
    bus = Recorder()
    await DenialLog(bus, ManualClock(), "1").record(_denial())
    assert [envelope.data["subject"] for envelope in bus.taken] == ["account:1"]
    assert bus.taken[0].publisher == "gateway"
    assert bus.taken[0].sequence == 1


async def test_repeats_within_a_second_are_counted_and_not_each_recorded():
    bus = Recorder()
    denials = DenialLog(bus, ManualClock(), "1")
    for _ in range(50):
        await denials.record(_denial())
    await denials.record(_denial("account:2"))
    assert [envelope.sequence for envelope in bus.taken] == [1, 2]


async def test_a_denial_that_cannot_be_recorded_says_so_and_the_numbers_start_again():
    bus = Recorder()
    denials = DenialLog(bus, ManualClock(), "1")
    await denials.record(_denial("account:1"))
    bus.away = True
    with pytest.raises(BusUnavailable):
        await denials.record(_denial("account:2"))
    bus.away = False
    await denials.record(_denial("account:2"))
    first, second = bus.taken
    assert first.source != second.source
    assert (first.sequence, second.sequence) == (1, 1)


async def test_a_request_given_up_while_its_denial_is_written_leaves_its_number_to_nobody_and_counts_for_nothing():
    bus = Recorder()
    denials = DenialLog(bus, ManualClock(), "1")
    bus.open.clear()
    writing = asyncio.create_task(denials.record(_denial()))
    await asyncio.sleep(0)
    assert len(bus.taken) == 1
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    bus.open.set()
    await denials.record(_denial())
    first, second = bus.taken
    assert first.source != second.source
