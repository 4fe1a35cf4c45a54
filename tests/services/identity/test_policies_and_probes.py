"""The authority's rules, and the probe credentials that show access blocked."""

from datetime import timedelta
from uuid import uuid4

import httpx
import pytest

from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.contracts.policies import POLICIES
from common.ids import new_id


async def _version(harness, name):
    answer = await harness.authority.get(f"/policies/{name}")
    return answer.headers["etag"], answer.json()[-1]


async def _set(harness, who, name, etag, **body):
    return await harness.client.post(
        f"/identity/policies/{name}/versions", json=body, headers=who.headers | {"if-match": etag}
    )


@pytest.mark.clause("15.1")
async def test_every_policy_of_the_catalogue_begins_with_a_dated_version_and_its_legal_basis(harness):
    rows = (await harness.authority.get("/policies")).json()
    assert {row["name"] for row in rows} == set(POLICIES)
    assert all(row["basis"] and row["effective_from"] and row["version"] == 1 for row in rows)


@pytest.mark.clause("15.1")
async def test_a_new_version_applies_from_its_start_and_the_old_one_to_earlier_times(harness):
    etag, first = await _version(harness, "departure-report-term")
    begin = harness.clock.now() + timedelta(hours=1)
    body = {"value": 7200, "effective_from": begin.isoformat(), "basis": "厦发改〔2026〕1号"}
    answer = await _set(harness, harness.authority, "departure-report-term", etag, **body)
    assert answer.status_code == 201
    assert answer.json()["version"] == 2
    policies = harness.runtime.policies
    assert await harness.runtime.point.until(lambda: policies.at("departure-report-term", begin).version == 2, 5)
    before = policies.at("departure-report-term", begin - timedelta(seconds=1))
    assert (before.version, before.value) == (1, first["value"])
    assert policies.at("departure-report-term", begin).value == 7200
    await harness.event("policy.set", policy="departure-report-term", version=2)


@pytest.mark.clause("15.1")
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"value": 1, "basis": "规程"}, "policy-out-of-bounds"),
        ({"value": 7200, "basis": "规程", "effective_from": "2026-01-01T00:00:00+08:00"}, "policy-retroactive"),
        ({"value": 7200, "basis": ""}, "invalid"),
        ({"value": 7200, "basis": "规程", "effective_from": "2026-05-01T00:00:00"}, "invalid"),
    ],
)
async def test_a_rule_out_of_bounds_reaching_back_or_without_basis_is_refused(harness, body, problem):
    etag, _ = await _version(harness, "departure-report-term")
    answer = await _set(harness, harness.authority, "departure-report-term", etag, **body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"urn:xindun:problem:{problem}")


@pytest.mark.clause("15.1")
async def test_only_the_authority_sets_rules_and_of_two_at_once_one_must_read_again(harness):
    etag, _ = await _version(harness, "training-pass")
    assert (await _set(harness, harness.center, "training-pass", etag, value=90, basis="规程")).status_code == 403
    assert (await _set(harness, harness.authority, "training-pass", etag, value=90, basis="规程")).status_code == 201
    stale = await _set(harness, harness.authority, "training-pass", etag, value=70, basis="规程")
    assert stale.status_code == 412
    path = "/identity/policies/training-pass/versions"
    blind = await harness.client.post(path, json={"value": 70, "basis": "规程"}, headers=harness.authority.headers)
    assert blind.status_code == 428
    assert (await _set(harness, harness.authority, "no-such-rule", etag, value=70, basis="规程")).status_code == 404


# Probes


async def _incident_token(harness):
    answer = await harness.client.post(
        "/identity/oauth/token",
        data={"grant_type": "client_credentials"},
        auth=httpx.BasicAuth("service%3Aincident", harness.incident_secret),
    )
    assert answer.status_code == 200, answer.text
    return {"authorization": f"Bearer {answer.json()['access_token']}"}


async def _contain(harness, target_id, *, executor="identity", kind="system"):
    order = ContainmentOrdered(
        order_id=new_id(),
        incident_id=new_id(),
        executor=executor,
        measure="suspend-grants" if executor == "datashare" else f"suspend-{kind}",
        target_kind=kind,
        target_id=target_id,
        ordered_at=harness.clock.now(),
    )
    await harness.publish(order)
    return order


async def _probe(harness, order, kind, subject=None):
    body = {"order_id": str(order.order_id), "kind": kind} | ({"subject": subject} if subject else {})
    return await harness.client.post("/identity/probes", json=body, headers=await _incident_token(harness))


@pytest.mark.clause("12.3")
async def test_a_contained_system_loses_its_tokens_and_the_confirmation_carries_the_receipts(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    token = (await harness.service_token(system)).json()["access_token"]
    order = await _contain(harness, system["id"])
    applied = await harness.event("containment.applied", order_id=str(order.order_id))
    assert applied["known"] is True
    assert "identity-1" in applied["points"]
    refused = await harness.with_token(token)
    assert (refused.status_code, refused.json()["cause"]) == (401, f"order:{order.order_id}")
    assert (await harness.service_token(system)).status_code == 401


@pytest.mark.clause("12.3")
async def test_a_probe_from_before_is_refused_for_that_order_and_one_from_after_opens_no_other_endpoint(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    order = await _contain(harness, system["id"])
    await harness.event("containment.applied", order_id=str(order.order_id))
    before = await _probe(harness, order, "before")
    assert before.status_code == 201
    refused = await harness.with_token(before.json()["access_token"])
    assert refused.json()["type"] == "urn:xindun:problem:credential-revoked"
    assert refused.json()["cause"] == f"order:{order.order_id}"
    after = await _probe(harness, order, "after")
    shut = await harness.with_token(after.json()["access_token"])
    assert (shut.status_code, shut.json()["type"]) == (403, "urn:xindun:problem:probe-refused")
    assert len(await harness.events("probe.issued", order_id=str(order.order_id))) >= 1


@pytest.mark.clause("12.3")
async def test_lifting_an_order_reinstates_only_subjects_without_another_cause(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    first, second = await _contain(harness, system["id"]), await _contain(harness, system["id"])

    async def lift(order):
        lifted = ContainmentLifted(
            order_id=order.order_id,
            incident_id=order.incident_id,
            executor="identity",
            proposed_by=new_id(),
            approved_by=new_id(),
        )
        await harness.publish(lifted)
        return await harness.event("containment-lift.applied", order_id=str(order.order_id))

    assert (await lift(first))["reinstated"] is False
    assert (await harness.service_token(system)).status_code == 401
    assert (await lift(second))["reinstated"] is True
    assert (await harness.service_token(system)).status_code == 200


@pytest.mark.clause("12.3")
async def test_an_order_on_an_unknown_subject_is_confirmed_as_unknown(harness):
    order = await _contain(harness, uuid4())
    applied = await harness.event("containment.applied", order_id=str(order.order_id))
    assert applied["known"] is False
    assert (await _probe(harness, order, "before")).status_code == 409


async def test_probes_are_for_incident_alone_and_for_orders_that_exist(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    order = await _contain(harness, system["id"])
    body = {"order_id": str(order.order_id), "kind": "after"}
    for who in (harness.authority, harness.center, admin):
        assert (await who.post("/probes", body)).status_code == 403
    unknown = await harness.client.post(
        "/identity/probes", json=body | {"order_id": str(uuid4())}, headers=await _incident_token(harness)
    )
    assert unknown.status_code == 404
    foreign = {"kind": "system", "id": str(uuid4())}
    assert (await _probe(harness, order, "after", foreign)).status_code == 404
    assert (await _probe(harness, order, "before", foreign)).status_code == 409


@pytest.mark.clause("12.3")
async def test_neither_a_probe_nor_incidents_own_token_is_active_to_introspection(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    order = await _contain(harness, system["id"], executor="datashare")
    answer = await _probe(harness, order, "after", {"kind": "system", "id": system["id"]})
    assert answer.status_code == 201, answer.text
    own = (await _incident_token(harness))["authorization"].removeprefix("Bearer ")
    auth = httpx.BasicAuth(system["client_id"], system["client_secret"])
    for token in (answer.json()["access_token"], own):
        answer = await harness.client.post("/identity/oauth/introspect", data={"token": token}, auth=auth)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    incident = {"client_id": "service:incident", "client_secret": harness.incident_secret, "token": own}
    answer = await harness.client.post("/identity/oauth/introspect", data=incident)
    assert answer.json()["error"] == "invalid_client"
