"""Permissions come from posts, and another person makes the appointment."""

from datetime import timedelta

import pytest

from tests.harness.client import slug


@pytest.mark.clause("6.2")
async def test_a_person_cannot_appoint_themselves(harness):
    _, admin = await harness.bare_unit()
    answer = await harness.appoint(admin, admin, "credit-clerk")
    assert (answer.status_code, slug(answer)) == (403, "self-appointment")
    await harness.event("access.refused", subject=f"account:{admin.id}", problem="self-appointment")


@pytest.mark.clause("6.2")
async def test_ending_an_appointment_ends_its_permissions_and_not_the_session(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    assert "applications.apply" in clerk.tokens["permissions"]
    row = (await admin.get(f"/appointments?account_id={clerk.id}")).json()["items"][0]
    answer = await admin.post(f"/appointments/{row['id']}/end", {"reason": "岗位调整"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["effective"]["effective_at"]
    assert (await clerk.get("/me")).json()["reason"] == "appointment-ended"
    await clerk.refresh()
    assert clerk.tokens["permissions"] == []
    assert slug(await admin.post(f"/appointments/{row['id']}/end", {"reason": "再次"})) == "appointment-ended"
    await harness.event("appointment.ended", appointment_id=row["id"])


@pytest.mark.clause("6.2")
async def test_no_token_outlives_the_appointment_behind_its_permissions(harness):
    _, admin = await harness.bare_unit()
    until = harness.clock.now() + timedelta(minutes=5)
    clerk = await harness.clerk(admin, until=until.isoformat())
    assert 0 < clerk.tokens["expires_in"] <= 300
    assert "applications.apply" in clerk.tokens["permissions"]
    harness.clock.advance(timedelta(minutes=5))
    assert (await clerk.get("/me")).json()["reason"] == "expired"
    await clerk.refresh()
    assert clerk.tokens["permissions"] == []
    assert (await clerk.get("/me")).json()["standing"]["appointments"] == []
    late = await harness.appoint(admin, clerk, "credit-clerk", until=harness.clock.now().isoformat())
    assert slug(late) == "appointment-term"
    assert (await harness.appoint(admin, clerk, "credit-clerk")).status_code == 201
    assert slug(await harness.appoint(admin, clerk, "credit-clerk")) == "appointment-exists"


@pytest.mark.clause("6.2")
@pytest.mark.clause("7.5")
async def test_a_unit_defines_posts_from_the_permissions_of_its_kind(harness):
    _, admin = await harness.bare_unit()
    new = {"name": "data-reader", "title": "查询岗", "permissions": ["credit-data.query"]}
    assert (await admin.post("/posts", new)).status_code == 201
    assert slug(await admin.post("/posts", new)) == "post-taken"
    for permission in ("openings.set", "probes.issue", "no.such"):
        answer = await admin.post("/posts", new | {"name": "other-post", "permissions": [permission]})
        assert (answer.status_code, answer.json().get("permissions")) == (403, [permission])
    clerk = await harness.clerk(admin, post="data-reader")
    assert clerk.tokens["permissions"] == ["credit-data.query"]
    assert slug(await clerk.get("/accounts")) == "permission-missing"


async def test_posts_and_people_of_another_unit_do_not_exist(harness):
    unit, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    posts = (await other.get("/posts")).json()["items"]
    body = {"account_id": clerk.id, "post_id": posts[0]["id"]}
    assert (await other.post("/appointments", body)).status_code == 404
    assert slug(await admin.post("/appointments", body)) == "post-unknown"
    assert (await other.get(f"/posts?unit={unit}")).status_code == 404
    assert (await harness.center.get(f"/posts?unit={unit}")).json()["items"]
    row = (await admin.get(f"/appointments?account_id={clerk.id}")).json()["items"][0]
    assert (await other.post(f"/appointments/{row['id']}/end", {"reason": "他人"})).status_code == 404
