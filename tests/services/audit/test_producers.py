"""Missing messages are detected: gaps, numbers announced by heartbeats, silent producers."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy.exc import ProgrammingError

from audit.producers.service import Producers
from common.clock import ManualClock
from tests.harness.polling import eventually

pytestmark = pytest.mark.clause("12.4")


@pytest.fixture
async def dated(make_harness):
    return await make_harness(clock=ManualClock())


async def gaps(harness, source="/identity"):
    items = (await harness.read("producers"))["items"]
    (item,) = (item for item in items if item["source"] == source)
    return [
        (gap["after"], gap["before"], gap["missing"], gap["closed"], gap["found_at"] is not None)
        for gap in item["gaps"]
    ]


async def advance_and_check(harness, seconds):
    harness.clock.advance(timedelta(seconds=seconds))
    await harness.producers.scan()


async def test_numbers_that_only_overtook_each_other_are_no_gap(dated):
    one, two, three = dated.messages(3)
    await dated.deliver(three)
    await dated.producers.scan()
    assert await gaps(dated) == [(0, 3, 2, False, False)]
    await dated.deliver(one, two)
    await advance_and_check(dated, 31)
    assert await gaps(dated) == []
    assert await dated.events("gap.found") == []


async def test_a_number_that_stays_missing_is_published_once_and_seen_to_close(dated):
    one, two, three, _, five = dated.messages(5)
    await dated.deliver(one, three)
    await dated.producers.scan()
    await dated.deliver(five)
    for _ in range(3):
        await advance_and_check(dated, 20)
    found = await dated.events("gap.found")
    assert [(gap["producer"], gap["after"], gap["before"]) for gap in found] == [
        ("/identity", 1, 3),
        ("/identity", 3, 5),
    ]
    assert await gaps(dated) == [(3, 5, 1, False, True), (1, 3, 1, False, True)]
    await dated.deliver(two)
    assert await gaps(dated) == [(3, 5, 1, False, True), (1, 3, 0, True, True)]
    await advance_and_check(dated, 60)
    assert len(await dated.events("gap.found")) == 2


async def test_a_gap_that_grew_between_scans_is_published_as_far_as_it_was_not(dated):
    await dated.deliver(*dated.messages(2), dated.beat(number=4))
    await dated.producers.scan()
    await advance_and_check(dated, 31)
    await dated.deliver(dated.message(number=6))
    restarted = Producers(
        dated.runtime.database, dated.clock, silence_term=timedelta(minutes=1), gap_patience=timedelta(seconds=30)
    )
    await restarted.scan()
    assert restarted.pending == {"/identity": [(4, 6)]}
    dated.clock.advance(timedelta(seconds=31))
    await restarted.scan()
    found = await dated.events("gap.found")
    assert [(gap["after"], gap["before"]) for gap in found] == [(2, 5), (4, 6)]


async def test_what_a_heartbeat_says_was_published_and_never_came_is_a_gap(dated):
    await dated.deliver(*dated.messages(2))
    await dated.deliver(dated.beat(number=4))
    assert len(await dated.bodies()) == 2, "a heartbeat is no leaf"
    await dated.producers.scan()
    assert await gaps(dated) == [(2, 5, 2, False, False)]
    await advance_and_check(dated, 31)
    assert [(gap["after"], gap["before"]) for gap in await dated.events("gap.found")] == [(2, 5)]


async def test_a_gap_of_an_earlier_run_is_found_by_the_next_and_published_once(make_harness, dated):
    await dated.deliver(dated.message(number=1), dated.message(number=5))
    again = await make_harness(dated.database, signer=dated.signer, clock=dated.clock)
    for harness in (again, dated, again):
        await harness.producers.scan()
        await advance_and_check(harness, 31)
    assert len(await dated.events("gap.found")) == 1
    await dated.deliver(dated.message(number=3))
    third = await make_harness(dated.database, signer=dated.signer, clock=dated.clock)
    await third.producers.scan()
    await advance_and_check(third, 31)
    assert len(await dated.events("gap.found")) == 1, "what is left of a known gap is no new one"
    assert await gaps(third) == [(1, 5, 2, False, True)]


async def test_each_start_of_the_gateway_numbers_from_one(dated):
    await dated.deliver(*dated.messages(3, "/gateway/1/a"), *dated.messages(2, "/gateway/1/b"))
    await advance_and_check(dated, 31)
    await advance_and_check(dated, 31)
    assert await gaps(dated, "/gateway/1/a") == await gaps(dated, "/gateway/1/b") == []
    assert await dated.events("gap.found") == []
    silent = {event["producer"] for event in await dated.events("producer.silent")}
    assert not any(producer.startswith("/gateway") for producer in silent), "nothing is expected of what never beat"
    assert silent >= {"/identity", "/datashare", "/incident"}


async def test_a_silent_producer_is_published_once_until_it_publishes_again(dated):
    async def silences():
        return [event for event in await dated.events("producer.silent") if event["producer"] == "/incident"]

    await dated.deliver(dated.beat("/incident"))
    seen = dated.clock.now()
    await advance_and_check(dated, 29)
    assert await silences() == []
    for _ in range(3):
        await advance_and_check(dated, 2)
    (event,) = await silences()
    assert event["last_heard_at"].startswith(seen.isoformat()[:19])
    items = {item["source"]: item for item in (await dated.read("producers"))["items"]}
    assert items["/incident"]["silent"]
    await dated.deliver(dated.message("/incident"))
    items = {item["source"]: item for item in (await dated.read("producers"))["items"]}
    assert not items["/incident"]["silent"]
    await advance_and_check(dated, 31)
    assert len(await silences()) == 2


async def silences(harness, producer):
    return [event for event in await harness.events("producer.silent") if event["producer"] == producer]


@pytest.fixture
async def replicas(make_harness, dated):
    """Two replicas of audit on one database: the bus gives each some of the partitions."""
    other = await make_harness(dated.database, signer=dated.signer, clock=dated.clock)
    for harness in (dated, other):
        await harness.producers.scan()
    return dated, other


async def test_a_producer_seen_by_one_replica_is_silent_at_none(replicas):
    one, other = replicas
    for _ in range(8):
        one.clock.advance(timedelta(seconds=10))
        await one.deliver(one.beat("/incident"))
        for harness in replicas:
            await harness.producers.scan()
    assert await silences(one, "/incident") == []
    items = {item["source"]: item for item in (await other.read("producers"))["items"]}
    assert items["/incident"]["last_heard_at"] is not None
    assert (items["/incident"]["silent"], items["/datashare"]["silent"]) == (False, True)


async def test_replicas_publish_one_silence_once_and_the_next_again(replicas):
    one, other = replicas
    await other.deliver(other.beat("/incident"))
    await other.producers.scan()
    for _ in range(2):
        one.clock.advance(timedelta(seconds=31))
        await asyncio.gather(*(harness.producers.scan() for harness in replicas))
    assert len(await silences(one, "/incident")) == 1
    assert len(await silences(one, "/datashare")) == 1, "never seen, and watched for by both"
    await one.deliver(one.beat("/incident"))
    await one.producers.scan()
    await advance_and_check(other, 31)
    assert len(await silences(one, "/incident")) == 2


async def test_a_replica_that_joins_later_does_not_publish_a_silence_again(replicas, make_harness):
    one, _ = replicas
    await advance_and_check(one, 31)
    third = await make_harness(one.database, signer=one.signer, clock=one.clock)
    await advance_and_check(third, 31)
    assert len(await silences(one, "/incident")) == 1


async def test_numbers_that_another_replica_received_are_missed_here_too(replicas):
    one, other = replicas
    await other.deliver(other.beat(number=4))
    await other.producers.scan()
    await one.producers.scan()
    assert await gaps(one) == [(0, 5, 4, False, False)]
    one.clock.advance(timedelta(seconds=31))
    await asyncio.gather(*(harness.producers.scan() for harness in replicas))
    assert len(await one.events("gap.found")) == 1


async def test_while_the_bus_is_away_no_producer_counts_as_silent(dated):
    await dated.deliver(dated.beat("/incident"))
    dated.clock.advance(timedelta(seconds=300))
    dated.producers.mark_disconnected()
    await dated.producers.scan()
    assert await silences(dated, "/incident") == []
    await advance_and_check(dated, 31)
    assert len(await silences(dated, "/incident")) == 1


async def test_while_the_bus_is_away_no_number_is_given_up(dated):
    one, _, three = dated.messages(3)
    await dated.deliver(one, three)
    await dated.producers.scan()
    dated.clock.advance(timedelta(seconds=300))
    dated.producers.mark_disconnected()
    await advance_and_check(dated, 29)
    assert await gaps(dated) == [(1, 3, 1, False, False)]
    await advance_and_check(dated, 2)
    assert await gaps(dated) == [(1, 3, 1, False, True)]


@pytest.mark.parametrize("number", [10**18 - 1, (1 << 63) - 1])
async def test_the_largest_number_that_a_producer_can_give_stops_neither_scans_nor_evidence(dated, number):
    await dated.deliver(dated.message("/datashare", number=number), dated.beat("/incident", number), dated.message())
    await dated.producers.scan()
    await advance_and_check(dated, 31)
    assert (await dated.export()).status_code == 201


async def test_an_ended_start_of_an_instance_is_not_silent_for_ever(dated):
    await dated.deliver(dated.beat("/gateway/1/a"), dated.beat("/gateway/2/a"))
    await advance_and_check(dated, 20)
    await dated.deliver(dated.beat("/gateway/1/b"))
    for _ in range(3):
        await advance_and_check(dated, 20)
        await dated.deliver(dated.beat("/gateway/1/b"))
    assert await silences(dated, "/gateway/1/a") == [], "a later start took its place"
    assert len(await silences(dated, "/gateway/2/a")) == 1
    items = {item["source"]: item["silent"] for item in (await dated.read("producers"))["items"]}
    assert items["/gateway/2/a"]
    assert not items["/gateway/1/a"]


async def test_signs_whose_transaction_failed_are_stored_by_the_next_look(replicas):
    one, other = replicas
    await one.deliver(one.beat("/incident"))
    await one.sql("ALTER FUNCTION note_signs RENAME TO gone")
    with pytest.raises(ProgrammingError):
        await one.producers.scan()
    await one.sql("ALTER FUNCTION gone RENAME TO note_signs")
    one.clock.advance(timedelta(seconds=25))
    await one.producers.scan()
    await advance_and_check(other, 4)
    assert other.producers.last_seen["/incident"].seen_at == one.clock.now() - timedelta(seconds=29)


async def test_producers_are_listed_with_their_last_numbers(dated):
    await dated.deliver(*dated.messages(3), *dated.messages(2, "/gateway/1/a"))
    await dated.deliver(dated.beat(number=3))
    items = {item["source"]: item for item in (await dated.read("producers"))["items"]}
    assert (items["/identity"]["last"], items["/identity"]["logged"], items["/identity"]["silent"]) == (3, 3, False)
    assert items["/gateway/1/a"]["last"] == 2
    assert items["/incident"]["last_heard_at"] is None
    page = await dated.read("producers", limit=2)
    assert [item["source"] for item in page["items"]] == ["/audit", "/datashare"]
    page = await dated.read("producers", limit=2, cursor=page["next"])
    assert [item["source"] for item in page["items"]] == ["/gateway/1/a", "/identity"]


async def test_what_audit_publishes_is_logged_too(dated):
    await dated.deliver(dated.message(number=2))
    await dated.producers.scan()
    await advance_and_check(dated, 31)

    async def logged() -> bool:
        return any(b"gap.found" in body for body in await dated.bodies())

    await eventually(logged)
    assert len(await dated.events("gap.found")) == 1
