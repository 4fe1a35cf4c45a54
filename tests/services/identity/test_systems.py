"""Connected systems and their tokens."""

import httpx
import pytest

from tests.harness.client import slug


@pytest.mark.clause("5d.3")
async def test_a_system_gets_nothing_before_the_center_has_approved_it(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin, approve=False)
    assert system["state"] == "registered"
    assert slug(await admin.post(f"/systems/{system['id']}/approve")) == "permission-missing"
    answer = await admin.post(f"/systems/{system['id']}/secret")
    assert (answer.status_code, slug(answer)) == (409, "system-step")
    await harness.center.post(f"/systems/{system['id']}/approve")
    again = await harness.center.post(f"/systems/{system['id']}/approve")
    assert (again.status_code, slug(again)) == (409, "system-step")
    assert (await admin.post(f"/systems/{system['id']}/secret")).status_code == 201
    assert await harness.event("system.secret-set", system_id=system["id"], replaced=False)


@pytest.mark.clause("5d.3")
async def test_a_token_is_refused_from_an_unregistered_network_and_on_record(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin, ["10.99.0.0/16", "2001:db8::/32"])
    answer = await harness.service_token(system)
    assert answer.status_code == 403
    assert slug(answer) == "origin-not-registered"
    assert answer.json()["error"] == "unauthorized_client"
    assert answer.headers["content-type"] == "application/json"
    await harness.event("access.refused", subject=f"system:{system['id']}", problem="origin-not-registered")


@pytest.mark.clause("5d.3")
async def test_a_network_contains_its_addresses_in_every_notation_and_no_others(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin, ["10.99.0.0/16", "192.0.2.7", "2001:db8::/32"])
    inside = ("10.99.200.1", "::ffff:10.99.0.7", "192.0.2.7", "2001:db8:1::5", "2001:0DB8::1")
    outside = ("10.100.0.1", "::ffff:10.100.0.1", "192.0.2.8", "2001:db9::1", "fe80::1%eth0", "here", "10.99.1", "")
    for origin in (*inside, *outside):
        transport = httpx.ASGITransport(harness.app, client=(origin, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://identity.test") as client:
            answer = await client.post(
                "/identity/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=httpx.BasicAuth(system["client_id"], system["client_secret"]),
            )
        assert answer.status_code == (200 if origin in inside else 403), origin
    for origin in inside:
        await harness.event("service-token.issued", system_id=system["id"], unit_id=system["unit_id"], origin=origin)


@pytest.mark.clause("5d.3")
async def test_a_new_secret_ends_the_one_before_and_its_tokens(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    token = (await harness.service_token(system)).json()["access_token"]
    answer = await admin.post(f"/systems/{system['id']}/secret")
    assert answer.json()["effective"]["effective_at"]
    assert await harness.event("system.secret-set", system_id=system["id"], replaced=True)
    assert slug(await harness.with_token(token)) == "credential-revoked"
    assert (await harness.service_token(system)).json()["error"] == "invalid_client"
    assert (await harness.service_token(system | answer.json())).status_code == 200


@pytest.mark.clause("5d.3")
@pytest.mark.clause("3.1")
async def test_a_suspended_system_gets_nothing_and_a_decommissioned_one_never_again(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    path = f"/systems/{system['id']}"
    token = (await harness.service_token(system)).json()["access_token"]
    assert (await harness.center.post(f"{path}/suspend", {"reason": "异常流量"})).json()["effective"]["effective_at"]
    assert (await admin.post(f"{path}/suspend", {"reason": "自查"})).status_code == 200
    assert slug(await harness.with_token(token)) == "credential-revoked"
    refused = await harness.service_token(system)
    assert (refused.status_code, refused.json()["reason"]) == (401, "system-suspended")
    assert (await admin.post(f"{path}/reinstate")).json()["state"] == "suspended"
    assert (await harness.center.post(f"{path}/reinstate")).json()["state"] == "approved"
    assert (await harness.service_token(system)).status_code == 200
    assert (await admin.post(f"{path}/decommission", {"reason": "设备报废"})).status_code == 200
    assert (await harness.service_token(system)).status_code == 401
    assert slug(await admin.post(f"{path}/secret")) == "system-step"
    assert (await harness.authority.get(path)).json()["state"] == "decommissioned"


@pytest.mark.parametrize("origin", ["0.0.0.0/0", "0.0.0.0/7", "::/0", "2000::/3", "10.0.0.1/8", "here", "300.1.1.1"])
async def test_an_invalid_or_too_wide_network_is_refused(harness, origin):
    _, admin = await harness.bare_unit()
    answer = await admin.post("/systems", {"name": "接入系统", "origins": [origin]})
    assert answer.status_code == 422


@pytest.mark.clause("5p.1")
async def test_the_responsible_person_is_one_of_the_unit(harness):
    _, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    body = {"name": "接入系统", "origins": ["10.1.0.0/16"], "responsible_id": other.id}
    assert slug(await admin.post("/systems", body)) == "responsible-unknown"


async def test_another_units_system_does_not_exist(harness):
    _, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    system = await harness.register_system(admin)
    for method, path in (("get", ""), ("post", "/secret"), ("post", "/reinstate")):
        assert (await getattr(other, method)(f"/systems/{system['id']}{path}")).status_code == 404
    for step in ("suspend", "decommission"):
        assert (await other.post(f"/systems/{system['id']}/{step}", {"reason": "他人"})).status_code == 404


async def test_the_token_endpoint_answers_as_the_standard_says(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    form = {"grant_type": "client_credentials", "client_id": system["client_id"]}

    async def ask(data=None, **more) -> tuple[int, str]:
        answer = await harness.client.post("/identity/oauth/token", data=data, **more)
        return answer.status_code, answer.json().get("error", "")

    basic = httpx.BasicAuth(system["client_id"], system["client_secret"])
    assert await ask(form | {"client_secret": system["client_secret"]}) == (200, "")
    assert await ask(form | {"client_secret": "wrong"}) == (401, "invalid_client")
    assert await ask(form) == (401, "invalid_client")
    assert await ask(form | {"client_secret": "x"}, auth=basic) == (400, "invalid_request")
    assert await ask({"grant_type": "password"}, auth=basic) == (400, "unsupported_grant_type")
    assert await ask({"scope": "x"}, auth=basic) == (400, "invalid_request")
    assert await ask({"grant_type": "refresh_token", "refresh_token": "x" * 43}) == (400, "invalid_grant")
    headers = {"content-type": "application/x-www-form-urlencoded"}
    twice = "grant_type=client_credentials&grant_type=client_credentials"
    assert await ask(content=twice, headers=headers, auth=basic) == (400, "invalid_request")
    assert await ask(content=b"\xff=1", headers=headers, auth=basic) == (400, "invalid_request")
    assert await ask(content="{}", headers={"content-type": "application/json"}) == (400, "invalid_request")
    assert await ask(content="", headers=headers | {"authorization": "Basic !!"}) == (400, "invalid_request")
    refused = await harness.client.post("/identity/oauth/token", data=form | {"client_secret": "wrong"})
    assert refused.headers["www-authenticate"].startswith("Basic")


async def test_the_platforms_own_client_may_ask_for_probes_and_nothing_else(harness):
    own = {"client_id": "service:incident", "client_secret": harness.incident_secret}
    answer = await harness.client.post("/identity/oauth/token", data={"grant_type": "client_credentials"} | own)
    assert answer.status_code == 200, answer.text
    me = (await harness.with_token(answer.json()["access_token"])).json()
    assert (me["subject"], me["permissions"], me["unit"]) == ("service:incident", ["probes.issue"], None)
    for path in ("/identity/accounts", "/identity/handovers", "/identity/units", "/identity/systems"):
        assert (await harness.with_token(answer.json()["access_token"], path)).status_code == 403
    assert (
        slug(
            await harness.client.post(
                "/identity/oauth/token", data=own | {"grant_type": "client_credentials", "client_secret": "no"}
            )
        )
        == "invalid-client"
    )


async def test_a_person_can_refresh_at_the_token_endpoint(harness):
    data = {"grant_type": "refresh_token", "refresh_token": harness.center.refresh_token}
    answer = await harness.client.post("/identity/oauth/token", data=data)
    assert answer.status_code == 200
    assert (await harness.with_token(answer.json()["access_token"])).json()["id"] == harness.center.id
    assert (await harness.client.post("/identity/oauth/token", data=data)).json()["reason"] == "reused"
