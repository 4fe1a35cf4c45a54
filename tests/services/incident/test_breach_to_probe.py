"""A breach is reported: everything in scope is contained, confirmed and probed, and the answer says how fast."""

import pytest
from starlette.responses import JSONResponse

from common.contracts.events import identity
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from common.problems import CONTENT_TYPE
from tests.harness.service import Actor


@pytest.mark.clause("12.3")
async def test_a_breach_of_a_system_kills_its_credentials_and_grants_and_the_answer_shows_both_probed(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    grant = await harness.grant(unit, system)
    person = harness.person(unit)

    answer = await harness.report(person, systems=[system])

    assert answer.status_code == 201, answer.text
    file = answer.json()
    containment = file["containment"]
    assert containment["state"] == "contained", containment
    assert (containment["orders"], containment["confirmed"], containment["probed"]) == (2, 2, 2)
    assert containment["within_target"] is True
    assert 0 <= containment["milliseconds"] < 5000
    assert "已探测 2/2" in containment["summary_zh"]
    assert "2 of 2 confirmed" in containment["summary_en"]
    by_executor = {order["executor"]: order for order in file["orders"]}
    dead, shut = by_executor["identity"], by_executor["datashare"]
    assert [step["state"] for step in dead["timeline"]] == ["ordered", "confirmed", "probed"]
    (probe,) = dead["probes"]
    assert (probe["status"], probe["problem"]) == (401, "urn:xindun:problem:credential-revoked")
    assert probe["subject"] == f"system:{system}"
    (probe,) = shut["probes"]
    assert (probe["status"], probe["reason"], probe["grant_id"]) == (403, "grant-suspended", str(grant))
    assert await harness.file(person, file["id"]) == file
    for order in file["orders"]:
        assert len(await harness.wait_for_events("containment.ordered", order_id=order["id"])) == 1
        assert len(await harness.wait_for_events("containment.confirmed", order_id=order["id"])) == 1
        (probed,) = await harness.wait_for_events("containment.probed", order_id=order["id"])
        assert probed["passed"] is True


@pytest.mark.clause("12.3")
async def test_a_breach_of_an_account_is_shown_by_a_credential_from_before(harness):
    unit = await harness.agency()
    account = await harness.account(unit)
    file = (await harness.report(harness.person(unit), accounts=[account])).json()
    assert file["containment"]["state"] == "contained"
    (order,) = file["orders"]
    assert (order["executor"], order["measure"]) == ("identity", "suspend-account")
    assert order["probes"][0]["subject"] == f"account:{account}"
    assert harness.probes == []  # refused before anything was asked


@pytest.mark.clause("12.3")
async def test_a_breach_of_a_unit_cuts_off_every_system_of_it_and_probes_each_grant(harness):
    unit, other = await harness.agency(), await harness.agency()
    systems = [await harness.system(unit) for _ in range(2)]
    grants = {str(await harness.grant(unit, system)) for system in systems}
    foreign = await harness.grant(other, await harness.system(other))
    file = (await harness.report(harness.center(), units=[unit])).json()
    assert file["containment"]["state"] == "contained", file["containment"]
    assert {order["target_id"] for order in file["orders"] if order["executor"] == "identity"} == set(map(str, systems))
    (shut,) = [order for order in file["orders"] if order["executor"] == "datashare"]
    assert {probe["grant_id"] for probe in shut["probes"]} == grants
    assert harness.suspensions[foreign] == set()


async def test_the_same_thing_named_twice_is_ordered_once(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    await harness.grant(unit, system)
    file = (await harness.report(harness.center(), systems=[system, system], units=[unit])).json()
    measures = [(order["executor"], order["measure"], order["target_id"]) for order in file["orders"]]
    assert len(measures) == len(set(measures)) == 3


@pytest.mark.parametrize("kind", ["systems", "accounts", "grants", "units"])
async def test_a_unit_that_reports_another_units_object_gets_not_found(harness, kind):
    mine, other = await harness.agency(), await harness.agency()
    system = await harness.system(other)
    foreign = {
        "systems": system,
        "accounts": await harness.account(other),
        "grants": await harness.grant(other, system),
        "units": other,
    }[kind]
    refused = (
        await harness.report(harness.person(mine), systems=[await harness.system(mine)], **{kind: [foreign]})
        if (kind != "systems")
        else await harness.report(harness.person(mine), systems=[await harness.system(mine), foreign])
    )
    absent = await harness.report(harness.person(mine), **{kind: [new_id()]})
    assert (refused.status_code, absent.status_code) == (404, 404)
    assert refused.headers["retry-after"] == "2", "what was registered just now may not have been received yet"
    assert refused.json()["missing"] == [str(foreign)]
    assert refused.json()["type"] == absent.json()["type"]
    assert await harness.events("breach.reported") == []


async def test_a_unit_reads_its_own_breaches_only_and_the_center_all(harness):
    one, two = await harness.agency(), await harness.agency()
    first = (await harness.report(harness.person(one), wait_ms=0, systems=[await harness.system(one)])).json()
    second = (await harness.report(harness.center(), wait_ms=0, systems=[await harness.system(two)])).json()
    listed = (await harness.person(two).get("/breaches")).json()
    assert [item["id"] for item in listed["items"]] == [second["id"]]
    hidden = await harness.person(two).get(f"/breaches/{first['id']}")
    assert hidden.status_code == 404
    page = (await harness.center().get("/breaches?limit=1")).json()
    assert [item["id"] for item in page["items"]] == [first["id"]]
    page = (await harness.authority().get(f"/breaches?limit=1&cursor={page['next']}")).json()
    assert ([item["id"] for item in page["items"]], page["next"]) == ([second["id"]], None)


async def test_a_system_cannot_report_in_a_persons_place(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    caller = Actor(harness, "system", unit, UnitKind.AGENCY, ["breaches.report"], id=system)
    answer = await caller.post("/breaches", harness.report_body(systems=[system]))
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:xindun:problem:person-needed")


async def test_a_report_without_scope_or_out_of_time_is_refused(harness):
    unit = await harness.agency()
    person = harness.person(unit)
    assert (await harness.report(person)).status_code == 422
    body = harness.report_body(units=[unit]) | {"occurred_at": harness.clock.now().isoformat()}
    refused = await person.post("/breaches", body)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:xindun:problem:breach-fact-impossible")


async def test_the_same_report_sent_twice_is_one_breach(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    person = harness.person(unit)
    body = harness.report_body(systems=[system])
    first, again = [await person.post("/breaches", body, idempotency_key="one-report-only") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert len(await harness.wait_for_events("breach.reported")) == 1


@pytest.mark.clause("12.3")
async def test_a_system_without_grants_is_confirmed_and_never_counted_as_probed(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    file = (await harness.report(harness.person(unit), systems=[system])).json()
    containment = file["containment"]
    assert (containment["confirmed"], containment["probed"], containment["not_applicable"]) == (2, 1, 1)
    (shut,) = [order for order in file["orders"] if order["executor"] == "datashare"]
    assert (shut["state"], shut["unprobed"], shut["probed_at"]) == ("confirmed", "no-grant-concerned", None)


async def test_incident_asks_for_its_own_token_once_for_many_probes(harness):
    unit = await harness.agency()
    for _ in range(3):
        await harness.report(harness.person(unit), accounts=[await harness.account(unit)])
    assert harness.tokens_issued == 1


@pytest.mark.clause("12.3")
async def test_what_is_not_confirmed_in_time_the_answer_calls_ordered(harness):
    harness.executors = False
    unit = await harness.agency()
    file = (await harness.report(harness.person(unit), wait_ms=50, systems=[await harness.system(unit)])).json()
    assert file["containment"]["state"] == "ordered"
    assert file["containment"]["contained_at"] is None
    assert "遏制尚未全部确认" in file["containment"]["summary_zh"]
    assert file["containment"]["within_target"] is None


@pytest.mark.clause("12.3")
async def test_an_order_for_what_identity_does_not_know_fails_at_once(harness):
    harness.executors = False
    unit = await harness.agency()
    file = (await harness.report(harness.person(unit), wait_ms=0, accounts=[await harness.account(unit)])).json()
    (order,) = file["orders"]
    await harness.publish(
        identity.ContainmentApplied(order_id=order["id"], known=False, effective_at=harness.clock.now(), points={})
    )
    file = await harness.file(harness.person(unit), file["id"])
    assert file["containment"]["state"] == "failed"
    assert file["orders"][0]["timeline"][-1]["detail"] == "target-unknown"


@pytest.mark.clause("12.3")
async def test_a_refusal_for_another_reason_is_tried_again_until_the_right_one_comes(harness):
    unit = await harness.agency()
    system = await harness.system(unit)
    await harness.grant(unit, system)
    wrong = {"type": "urn:xindun:problem:credential-revoked", "status": 401, "cause": "departure:1", "reason": "x"}
    left = [3]

    def bend(_):
        if left[0] == 0:
            return None
        left[0] -= 1
        return JSONResponse(wrong, 401, media_type=CONTENT_TYPE)

    harness.bend = bend
    file = (await harness.report(harness.person(unit), systems=[system])).json()
    assert file["containment"]["state"] == "contained", file["containment"]
    attempts = [probe["passed"] for order in file["orders"] for probe in order["probes"]]
    assert (attempts.count(False), attempts.count(True)) == (3, 2)
    assert len(await harness.wait_for_events("containment.probed", times=2)) == 2
