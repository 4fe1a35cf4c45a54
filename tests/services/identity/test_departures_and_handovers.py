"""A departure cuts off the account at once, and successors take over its items."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from prometheus_client import REGISTRY

from common.contracts.events.datashare import HoldingsListed
from common.enforcement.revocation_feed import Receipt
from common.messaging.bus import Message
from common.messaging.topics import receipts_topic


async def _report(harness, by, account_id, *, kind="departure", ago=timedelta(hours=1)):
    left_at = (harness.clock.now() - ago).isoformat()
    return await by.post("/departures", {"account_id": account_id, "kind": kind, "left_at": left_at})


async def _list_holdings(harness, handover_id, account_id, items, *, part=1, parts=1):
    listed = HoldingsListed(handover_id=handover_id, account_id=account_id, items=items, part=part, parts=parts)
    await harness.publish(listed)


def _item(reference="one"):
    return {"kind": "query", "reference": reference, "description": "查询获取", "since": "2026-01-01T00:00:00+00:00"}


@pytest.mark.clause("6.5")
async def test_a_reported_clerk_is_refused_at_once_and_the_answer_says_where_it_is_effective(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    answer = await _report(harness, admin, clerk.id)
    assert answer.status_code == 201
    effective = answer.json()["effective"]
    assert effective["effective_at"]
    assert "identity-1" in effective["receipts"]
    assert effective["silent"] == []
    refused = await clerk.get("/me")
    assert refused.status_code == 401
    assert refused.json()["type"] == "urn:xindun:problem:credential-revoked"
    assert refused.json()["reason"] == "departure-reported"
    assert refused.json()["cause"] == f"departure:{answer.json()['departure']['id']}"
    assert (await clerk.try_refresh()).status_code == 401
    assert (await clerk.try_sign_in()).status_code in (401, 403)


@pytest.mark.clause("6.5")
async def test_the_same_report_again_finds_its_file_and_a_different_one_is_refused(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    left_at = (harness.clock.now() - timedelta(hours=1)).isoformat()
    body = {"account_id": clerk.id, "kind": "departure", "left_at": left_at}
    first, again = await admin.post("/departures", body), await admin.post("/departures", body)
    assert first.json()["departure"]["id"] == again.json()["departure"]["id"]
    assert again.json()["effective"]["receipts"]
    other = await admin.post("/departures", body | {"kind": "transfer"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:xindun:problem:departure-known")


@pytest.mark.clause("6.5")
async def test_a_report_after_the_term_shows_as_late_by_the_rule_of_its_time(harness):
    _, admin = await harness.bare_unit()
    late = await _report(harness, admin, (await harness.clerk(admin)).id, ago=timedelta(hours=25))
    in_time = await _report(harness, admin, (await harness.clerk(admin)).id, ago=timedelta(hours=23))
    assert late.json()["departure"]["late"] is True
    assert in_time.json()["departure"]["late"] is False


@pytest.mark.clause("6.5")
async def test_a_report_about_oneself_a_foreign_clerk_or_the_far_future_is_refused(harness):
    _, admin = await harness.bare_unit()
    _, foreign = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    assert (await _report(harness, foreign, clerk.id)).status_code == 404
    own = await _report(harness, admin, admin.id)
    assert (own.status_code, own.json()["type"]) == (403, "urn:xindun:problem:own-departure")
    assert (await _report(harness, admin, clerk.id, ago=-timedelta(days=3))).status_code == 422
    assert (await clerk.get("/me")).status_code == 200


@pytest.mark.clause("6.6")
async def test_the_handover_lists_itself_is_taken_over_and_countersigned_by_other_hands(harness):
    _, admin = await harness.bare_unit()
    clerk, successor = await harness.clerk(admin), await harness.clerk(admin)
    departure = (await _report(harness, admin, clerk.id)).json()["departure"]
    cancelled = await harness.center.post(f"/departures/{departure['id']}/cancel-account")
    assert cancelled.status_code == 200
    handover = cancelled.json()["departure"]["handover_id"]
    opened = await harness.event("handover.opened", account_id=clerk.id)
    assert opened["handover_id"] == handover
    path = f"/handovers/{handover}"

    early = await admin.post(f"{path}/countersign")
    assert (early.status_code, early.json()["type"]) == (409, "urn:xindun:problem:handover-not-listed")
    await _list_holdings(harness, handover, clerk.id, [_item("one")], part=1, parts=2)
    assert (await admin.get(path)).json()["state"] == "opened"
    await _list_holdings(harness, handover, clerk.id, [_item("two")], part=2, parts=2)
    listed = (await admin.get(path)).json()
    assert listed["state"] == "listed"
    assert [item["reference"] for item in listed["items"]] == ["one", "two"]

    open_ = await admin.post(f"{path}/countersign")
    assert (open_.status_code, open_.json()["open"]) == (409, 2)
    first, second = (item["id"] for item in listed["items"])
    taken = await successor.post(f"{path}/settlements", {"outcome": "taken-over", "items": [first]})
    assert taken.status_code == 201
    again = await successor.post(f"{path}/settlements", {"outcome": "taken-over", "items": [first]})
    assert again.json()["type"] == "urn:xindun:problem:item-settled"
    nameless = await successor.post(f"{path}/settlements", {"outcome": "destroyed", "items": [second]})
    assert nameless.status_code == 422
    destroyed = {"outcome": "destroyed", "items": [second], "note": "导出文件已粉碎"}
    assert (await successor.post(f"{path}/settlements", destroyed)).status_code == 201

    done = await admin.post(f"{path}/countersign")
    assert (done.status_code, done.json()["state"]) == (200, "completed")
    file = (await harness.center.get(f"/departures/{departure['id']}")).json()
    assert file["state"] == "closed"
    assert [cutoff["reason"] for cutoff in file["cutoffs"]] == ["departure-reported", "account-revoked"]
    assert all(cutoff["receipts"] for cutoff in file["cutoffs"])
    await harness.event("departure.closed", departure_id=departure["id"])


@pytest.mark.clause("6.6")
async def test_a_successor_does_not_countersign_even_with_the_permission(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    both = await harness.clerk(admin)
    post = {"name": "both-hands", "title": "两手", "permissions": ["handovers.take", "handovers.countersign"]}
    assert (await admin.post("/posts", post)).status_code == 201
    assert (await harness.appoint(admin, both, "both-hands")).status_code == 201
    await both.refresh()
    departure = (await _report(harness, admin, clerk.id)).json()["departure"]
    cancelled = await harness.center.post(f"/departures/{departure['id']}/cancel-account")
    handover = cancelled.json()["departure"]["handover_id"]
    await _list_holdings(harness, handover, clerk.id, [_item()])
    assert (await both.post(f"/handovers/{handover}/settlements", {"outcome": "taken-over"})).status_code == 201
    refused = await both.post(f"/handovers/{handover}/countersign")
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:xindun:problem:same-hands")
    assert (await admin.post(f"/handovers/{handover}/countersign")).status_code == 200


@pytest.mark.clause("6.6")
async def test_the_database_itself_refuses_the_leaver_s_own_hand(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    departure = (await _report(harness, admin, clerk.id)).json()["departure"]
    await harness.center.post(f"/departures/{departure['id']}/cancel-account")
    connection = await asyncpg.connect(harness.database.admin_dsn)
    try:
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("UPDATE departures SET cancelled_by = account_id")
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "UPDATE handovers SET listed_at = now(), completed_at = now(), state = 'completed', "
                "countersigned_by = account_id"
            )
    finally:
        await connection.close()


@pytest.mark.clause("6.5")
async def test_a_revocation_waits_for_a_silent_point_until_it_refuses_by_itself_and_names_it(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    started_at = asyncio.get_running_loop().time()
    await harness.bus.publish([Message(receipts_topic("gateway"), "gateway-9", _alive(harness, "gateway-9"))])
    answer = await _report(harness, admin, clerk.id)
    waited = asyncio.get_running_loop().time() - started_at
    assert answer.json()["effective"]["silent"] == ["gateway-9"]
    assert waited >= harness.runtime.point.bound()
    assert answer.json()["effective"]["effective_at"]


@pytest.mark.clause("6.5")
async def test_a_member_can_answer_for_its_own_points_only(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    await harness.bus.publish([Message(receipts_topic("datashare"), "gateway-9", _alive(harness, "gateway-9"))])
    answer = await _report(harness, admin, clerk.id)
    assert answer.json()["effective"]["silent"] == []
    assert "gateway-9" not in answer.json()["effective"]["receipts"]
    refused = {"reason": "foreign-point"}
    assert (REGISTRY.get_sample_value("xindun_receipts_refused_total", refused) or 0) >= 1


def _alive(harness, point: str) -> bytes:
    return Receipt.model_validate({"kind": "alive", "point": point, "at": harness.clock.now()}).to_bytes()


async def test_an_unknown_or_foreign_handover_does_not_exist(harness):
    _, admin = await harness.bare_unit()
    _, foreign = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    departure = (await _report(harness, admin, clerk.id)).json()["departure"]
    cancelled = await harness.center.post(f"/departures/{departure['id']}/cancel-account")
    handover = cancelled.json()["departure"]["handover_id"]
    for path in (f"/handovers/{handover}", f"/handovers/{uuid4()}", f"/departures/{departure['id']}"):
        assert (await foreign.get(path)).status_code == 404
    assert (await foreign.post(f"/handovers/{handover}/countersign")).status_code == 404
    assert (await foreign.get("/departures")).json()["items"] == []
    assert len((await harness.authority.get("/departures")).json()["items"]) == 1


@pytest.mark.clause("6.5")
async def test_just_after_its_start_identity_waits_for_the_bound_because_a_point_may_not_be_known_yet(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    loop = asyncio.get_running_loop()
    harness.runtime.acknowledgements._reading_since = started_at = loop.time()  # the same clock as time.monotonic()
    answer = await _report(harness, admin, clerk.id)
    assert answer.json()["effective"]["effective_at"]
    assert loop.time() - started_at >= harness.runtime.point.bound()
