"""What a leaving person was responsible for and obtained is listed for the handover (6.6)."""

from datetime import timedelta

import pytest

from common.contracts.events import identity
from common.ids import new_id
from datashare.holdings import service
from tests.services.datashare.harness import Actor


async def listed(world, account) -> list[dict]:
    handover = new_id()
    await world.say(
        identity.HandoverOpened(handover_id=handover, departure_id=new_id(), account_id=account, unit_id=world.unit)
    )
    said = (await world.told("holdings.listed"))[-1]
    assert (said["handover_id"], said["account_id"]) == (str(handover), str(account))
    return said["items"]


@pytest.mark.clause("6.6")
async def test_a_handover_lists_what_the_person_applied_for_answers_for_and_obtained(world):
    grant = await world.all_ready()
    for number in (3, 3, 5):
        assert (await world.query(number, world.clerk)).status_code == 200
    await world.query(7)  # the system's, not the clerk's
    world.clock.advance(timedelta(days=1))
    assert (await world.query(4, world.clerk)).status_code == 200
    items = await listed(world, world.clerk.id)
    assert [item["kind"] for item in items] == ["application", "grant", "query", "query"]
    assert items[1]["reference"] == grant
    newest, first = items[2:]
    assert newest["reference"] > first["reference"]
    assert first["reference"].startswith(f"{grant}:")
    assert "3 次，3 条" in first["description"]
    assert all(item["since"] for item in items)


@pytest.mark.clause("6.6")
async def test_who_signed_and_who_answers_for_a_system_hands_over_too(world):
    grant = await world.all_ready()
    items = await listed(world, world.admin.id)
    assert [(item["kind"], item["reference"] == grant) for item in items] == [("agreement", False), ("grant", True)]


async def test_who_holds_nothing_has_an_empty_list(world):
    assert await listed(world, new_id()) == []


async def test_a_long_history_is_listed_within_bounds_and_loses_nothing(world, monkeypatch):
    monkeypatch.setattr(service, "MOST", 3)
    await world.all_ready()
    for _ in range(6):
        world.clock.advance(timedelta(days=1))
        assert (await world.query(3, world.clerk)).status_code == 200
    queries = [item for item in await listed(world, world.clerk.id) if item["kind"] == "query"]
    assert len(queries) == 4
    assert queries[-1]["reference"].endswith(":earlier")
    assert "3 次，3 条" in queries[-1]["description"]


async def test_a_stranger_s_queries_are_not_listed(world):
    await world.all_ready()
    await world.query(3, world.clerk)
    other = Actor(world, "account", world.unit, world.clerk.unit_kind, ())
    assert await listed(world, other.id) == []
