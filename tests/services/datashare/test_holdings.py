"""What a leaving person was responsible for and obtained is listed for the handover (6.6)."""

from datetime import timedelta

import pytest

from common.contracts.events import identity
from common.ids import new_id
from datashare.holdings import service
from tests.harness.service import Actor


async def listed(harness, account) -> list[dict]:
    handover = new_id()
    await harness.publish(
        identity.HandoverOpened(handover_id=handover, departure_id=new_id(), account_id=account, unit_id=harness.unit)
    )
    said = (await harness.events("holdings.listed"))[-1]
    assert (said["handover_id"], said["account_id"]) == (str(handover), str(account))
    return said["items"]


@pytest.mark.clause("6.6")
async def test_a_handover_lists_what_the_person_applied_for_answers_for_and_obtained(harness):
    grant = await harness.all_ready()
    for number in (3, 3, 5):
        assert (await harness.query(number, harness.clerk)).status_code == 200
    await harness.query(7)  # the system's, not the clerk's
    harness.clock.advance(timedelta(days=1))
    assert (await harness.query(4, harness.clerk)).status_code == 200
    items = await listed(harness, harness.clerk.id)
    assert [item["kind"] for item in items] == ["application", "grant", "query", "query"]
    assert items[1]["reference"] == grant
    newest, first = items[2:]
    assert newest["reference"] > first["reference"]
    assert first["reference"].startswith(f"{grant}:")
    assert "3 次，3 条" in first["description"]
    assert all(item["since"] for item in items)


@pytest.mark.clause("6.6")
async def test_who_signed_and_who_answers_for_a_system_hands_over_too(harness):
    grant = await harness.all_ready()
    items = await listed(harness, harness.admin.id)
    assert [(item["kind"], item["reference"] == grant) for item in items] == [("agreement", False), ("grant", True)]


async def test_who_holds_nothing_has_an_empty_list(harness):
    assert await listed(harness, new_id()) == []


async def test_a_long_history_is_listed_within_bounds_and_loses_nothing(harness, monkeypatch):
    monkeypatch.setattr(service, "MAX_ITEMS_PER_KIND", 3)
    await harness.all_ready()
    for _ in range(6):
        harness.clock.advance(timedelta(days=1))
        assert (await harness.query(3, harness.clerk)).status_code == 200
    queries = [item for item in await listed(harness, harness.clerk.id) if item["kind"] == "query"]
    assert len(queries) == 4
    assert queries[-1]["reference"].endswith(":earlier")
    assert "3 次，3 条" in queries[-1]["description"]


async def test_a_stranger_s_queries_are_not_listed(harness):
    await harness.all_ready()
    await harness.query(3, harness.clerk)
    other = Actor(harness, "account", harness.unit, harness.clerk.unit_kind, ())
    assert await listed(harness, other.id) == []
