"""What the authority has not opened does not exist for others; what it narrows, narrows at once (10.2)."""

import pytest

from tests.harness.client import slug
from tests.services.datashare.harness import APPLICATION, CODE, OPENING, RESOURCE


@pytest.mark.clause("10.2")
async def test_without_an_opening_a_resource_is_neither_found_nor_applied_for_nor_queried(harness):
    await harness.center.post("/resources", RESOURCE)
    await harness.ready_unit()
    for actor in (harness.clerk, harness.admin, harness.system):
        assert (await actor.get("/resources")).json()["items"] == []
        answer = await actor.get(f"/resources/{CODE}")
        assert (answer.status_code, slug(answer)) == (404, "resource-not-open")
        assert (await actor.get(f"/resources/{CODE}/opening")).status_code == 404
        assert (await actor.get(f"/resources/{CODE}/opening/versions")).status_code == 404
    applied = await harness.clerk.post("/applications", APPLICATION | {"systems": [str(harness.system.id)]})
    assert (applied.status_code, slug(applied)) == (404, "resource-not-open")
    for path in ("/queries", "/checks"):
        for by in (harness.clerk, harness.system):
            assert slug(await by.post(path, harness.asked(3))) == "resource-not-open"
            there = (await by.post(path, harness.asked(3))).json()
            nowhere = (await by.post(path, harness.asked(3, resource="no-such-thing"))).json()
            assert {**there, "request_id": 0, "instance": 0} == {**nowhere, "request_id": 0, "instance": 0}
    assert (await harness.center.get(f"/resources/{CODE}")).status_code == 200


@pytest.mark.clause("10.2")
async def test_what_is_open_to_another_kind_of_unit_does_not_exist_either(harness):
    await harness.opened(rows=0, unit_kinds=["public-service"])
    assert (await harness.clerk.get("/resources")).json()["items"] == []
    assert (await harness.clerk.get(f"/resources/{CODE}")).status_code == 404


@pytest.mark.clause("10.2")
async def test_a_unit_sees_the_open_fields_alone(harness):
    await harness.opened(rows=0)
    seen = (await harness.clerk.get(f"/resources/{CODE}")).json()
    assert [field["name"] for field in seen["fields"]] == OPENING["fields"]


@pytest.mark.clause("10.2")
@pytest.mark.parametrize("who", ["center", "admin", "clerk", "system"])
async def test_nobody_but_the_authority_opens_or_closes(harness, who):
    await harness.opened(rows=0)
    actor = getattr(harness, who)
    put = await actor.send("PUT", f"/resources/{CODE}/opening", OPENING, if_match='"1"')
    withdrawn = await actor.post(f"/resources/{CODE}/opening/withdraw", {"reason": "收回"}, if_match='"1"')
    assert (put.status_code, withdrawn.status_code) == (403, 403)
    assert await harness.count("openings") == 1
    assert len(await harness.events("access.refused")) == 2


async def test_an_edit_says_which_version_it_edits(harness):
    await harness.opened(rows=0)
    assert (await harness.authority.send("PUT", f"/resources/{CODE}/opening", OPENING)).status_code == 428
    stale = await harness.authority.send("PUT", f"/resources/{CODE}/opening", OPENING, if_match='"7"')
    assert (stale.status_code, stale.headers["etag"]) == (412, '"1"')
    again = await harness.reopened(purposes=["licence-review"])
    assert (again.status_code, again.json()["version"], again.headers["etag"]) == (200, 2, '"2"')
    versions = (await harness.authority.get(f"/resources/{CODE}/opening/versions")).json()["items"]
    assert [version["version"] for version in versions] == [1, 2]


async def test_a_repeated_key_sets_and_withdraws_an_opening_once(harness):
    await harness.opened(rows=0)
    path = f"/resources/{CODE}/opening"
    for method, target, body, version in (
        ("PUT", path, OPENING | {"purposes": ["licence-review"]}, '"2"'),
        ("POST", f"{path}/withdraw", {"reason": "不再开放"}, '"3"'),
    ):
        current = (await harness.authority.get(path)).headers["etag"]
        headers = {"if_match": current, "idempotency_key": f"opening-{version}"}
        first, again = [await harness.authority.send(method, target, body, **headers) for _ in range(2)]
        assert (first.status_code, first.headers["etag"], again.headers["etag"]) == (200, version, version)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json() == first.json()
    assert await harness.count("openings") == 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"fields": ["uscc", "salary"]}, "opening-field-unknown"), ({"longest_term_days": 731}, "opening-beyond-policy")],
)
async def test_an_opening_stays_within_resource_and_policy(harness, change, reason):
    await harness.center.post("/resources", RESOURCE)
    answer = await harness.authority.send("PUT", f"/resources/{CODE}/opening", OPENING | change)
    assert (answer.status_code, slug(answer)) == (422, reason)


@pytest.mark.clause("10.2")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fields": ["uscc", "kind"]}, "field-outside-grant"),
        ({"purposes": ["licence-review"]}, "purpose-outside-grant"),
        ({"unit_kinds": ["public-service"]}, "resource-not-open"),
        ({"quota": {"calls": 1, "rows": 1000, "subjects": 50}}, "quota-exhausted"),
    ],
)
async def test_a_new_version_narrows_live_grants_at_once(harness, change, reason):
    await harness.all_ready()
    wanted = {"fields": ["uscc", "amount"]}
    assert (await harness.query(3, **wanted)).status_code == 200
    assert (await harness.reopened(**change)).status_code == 200
    assert slug(await harness.query(3, **wanted)) == reason


async def test_without_named_fields_an_answer_shrinks_with_the_opening(harness):
    await harness.all_ready()
    await harness.reopened(fields=["uscc", "amount"])
    assert list((await harness.query(3)).json()["records"][0]) == ["uscc", "amount"]


@pytest.mark.clause("10.2")
async def test_a_withdrawn_opening_stops_every_grant_and_a_new_one_revives_it(harness):
    await harness.all_ready()
    gone = await harness.authority.post(f"/resources/{CODE}/opening/withdraw", {"reason": "收回"}, if_match='"1"')
    assert gone.json()["withdrawn"] is True
    assert slug(await harness.query(3)) == "resource-not-open"
    assert (await harness.clerk.get("/resources")).json()["items"] == []
    assert len(await harness.events("opening.withdrawn")) == 1
    assert (await harness.reopened()).status_code == 200
    assert (await harness.query(3)).status_code == 200


async def test_a_code_is_taken_once(harness):
    assert (await harness.center.post("/resources", RESOURCE)).status_code == 201
    assert slug(await harness.center.post("/resources", RESOURCE)) == "resource-code-taken"
    assert (await harness.authority.post("/resources", RESOURCE)).status_code == 403


@pytest.mark.parametrize(
    "change",
    [
        {"subject_field": "party"},
        {"name_field": "nowhere"},
        {"fields": [*RESOURCE["fields"], RESOURCE["fields"][3]]},
        {"fields": [*RESOURCE["fields"], {"name": "x", "zh": "字", "mask": "amount-band"}]},
        {"surprise": 1},
    ],
)
async def test_a_resource_that_contradicts_itself_is_not_registered(harness, change):
    assert (await harness.center.post("/resources", RESOURCE | change)).status_code == 422
