"""Identity's part of the scenario: from the first administrators to a system's token."""

import pytest

from tests.harness.client import HERE, slug
from tests.harness.people import train, undertake


@pytest.mark.clause("6.1")
@pytest.mark.clause("7.6")
async def test_a_unit_a_clerk_and_a_system_arrive(harness):
    unit_id, admin = await harness.bare_unit()
    clerk = await harness.newcomer(admin)
    me = (await clerk.get("/me")).json()
    assert me["origin"] == HERE
    assert me["permissions"] == []
    assert me["standing"] == {
        "trained_until": None,
        "training_current": False,
        "undertaking_signed": False,
        "appointments": [],
    }
    assert (await train(clerk)).json()["passed"] is True
    assert (await undertake(clerk)).status_code == 201
    assert (await harness.appoint(admin, clerk, "credit-clerk")).status_code == 201
    await clerk.refresh()
    me = (await clerk.get("/me")).json()
    assert "credit-data.query" in me["permissions"]
    assert me["standing"]["training_current"] is True
    assert me["standing"]["undertaking_signed"] is True
    assert me["unit"]["id"] == unit_id
    await harness.event("training.passed", account_id=clerk.id)
    await harness.event("undertaking.signed", account_id=clerk.id)
    await harness.event("appointment.made", account_id=clerk.id, post="credit-clerk")

    system = await harness.register_system(admin)
    token = (await harness.service_token(system)).json()
    me = (await harness.with_token(token["access_token"])).json()
    assert me["subject"] == f"system:{system['id']}"
    assert me["permissions"] == ["breaches.report", "credit-data.query"]
    assert token["token_type"] == "Bearer"
    assert token["expires_in"] == 600
    await harness.event("service-token.issued", system_id=system["id"], origin=HERE)


async def test_the_bootstrap_works_once(harness):
    from identity.bootstrap import AlreadyBootstrapped, FirstPeople, bootstrap
    from tests.harness.identifiers import id_number

    people = FirstPeople.model_validate(
        {role: {"name": "又一位", "id_number": id_number(), "login": f"{role}.two"} for role in ("authority", "center")}
    )
    with pytest.raises(AlreadyBootstrapped):
        await bootstrap(harness.runtime, people)


async def test_the_public_keys_are_published(harness):
    for path in ("/.well-known/jwks.json", "/identity/.well-known/jwks.json"):
        answer = await harness.client.get(path)
        assert [jwk["kid"] for jwk in answer.json()["keys"]] == list(harness.runtime.signing_keys.own)


async def test_without_a_credential_no_account_can_be_seen(harness):
    answer = await harness.client.get("/identity/accounts")
    assert (answer.status_code, slug(answer)) == (401, "unauthenticated")
