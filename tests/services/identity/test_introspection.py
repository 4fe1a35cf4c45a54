"""Introspection shows a connected system whether a token is active, and nothing about an inactive one."""

import asyncio
from datetime import timedelta

import httpx
import pytest

from common.enforcement.tokens import SigningKey, sign
from identity.systems import service as systems
from identity.tokens.introspection import CLIENT_CACHE_TERM
from tests.harness.client import slug
from tests.platform.revocation_state_machine import claims_of

PATH = "/identity/oauth/introspect"
DEAD = {"active": False}


async def ask(harness, system: dict, token: str, **more) -> httpx.Response:
    auth = httpx.BasicAuth(system["client_id"], system["client_secret"])
    return await harness.client.post(PATH, data={"token": token} | more, auth=auth)


async def said(harness, system: dict, token: str) -> dict:
    answer = await ask(harness, system, token)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


async def token_of(harness, system: dict) -> str:
    answer = await harness.service_token(system)
    assert answer.status_code == 200, answer.text
    return answer.json()["access_token"]


@pytest.fixture
async def pair(harness):
    """The administrators of two units, and a system of each."""
    _, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    return admin, await harness.register_system(admin), other, await harness.register_system(other)


async def test_a_system_learns_the_claims_of_its_own_and_a_partners_token(harness, pair):
    _, own, _, partner = pair
    for holder in (own, partner):
        token = await token_of(harness, holder)
        claims = claims_of(token)
        assert await said(harness, own, token) == {
            "active": True,
            "token_type": "Bearer",
            "iss": claims["iss"],
            "sub": f"system:{holder['id']}",
            "client_id": holder["id"],
            "unit": holder["unit_id"],
            "exp": claims["exp"],
        }


@pytest.mark.clause("7.5")
async def test_a_persons_token_is_active_to_systems_of_the_persons_own_unit_only(harness, pair):
    admin, own, _, foreign = pair
    answer = await said(harness, own, admin.access_token)
    assert (answer["active"], answer["sub"]) == (True, f"account:{admin.id}")
    assert "client_id" not in answer
    for person in (admin, harness.center, harness.authority):
        assert await said(harness, foreign, person.access_token) == DEAD


async def test_foreign_and_expired_tokens_are_inactive(harness, pair):
    _, own, _, partner = pair
    token = await token_of(harness, partner)
    head, payload, signature = token.split(".")
    forged = sign(SigningKey.generate(), claims_of(token))
    for nothing in ("x", "a.b.c", forged, f"{head}.{payload}.{signature[::-1]}", own["client_secret"], token + "x"):
        assert await said(harness, own, nothing) == DEAD
    assert await said(harness, own, pair[0].refresh_token) == DEAD
    assert (await said(harness, own, token))["active"]
    harness.clock.advance(timedelta(minutes=10))
    assert await said(harness, own, token) == DEAD


@pytest.mark.clause("5d.3")
@pytest.mark.clause("6.5")
@pytest.mark.parametrize("act", ["suspend", "secret", "decommission", "unit"])
async def test_every_end_of_a_system_ends_its_tokens_and_its_own_introspection_at_once(harness, pair, act):
    admin, ended, _, asking = pair
    token, theirs = await token_of(harness, ended), await token_of(harness, asking)
    assert (await said(harness, asking, token))["active"]
    assert (await said(harness, ended, theirs))["active"]
    if act == "unit":
        answer = await harness.center.post(f"/units/{ended['unit_id']}/suspend", {"reason": "检查"})
    else:
        answer = await admin.post(f"/systems/{ended['id']}/{act}", None if act == "secret" else {"reason": "检查"})
    assert answer.is_success, answer.text
    assert await said(harness, asking, token) == DEAD
    refused = await ask(harness, ended, theirs)
    assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")
    if act == "secret":
        renewed = ended | answer.json()
        assert (await said(harness, renewed, theirs))["active"]
        assert (await said(harness, asking, await token_of(harness, renewed)))["active"]


@pytest.mark.clause("5d.3")
async def test_an_unauthenticated_client_learns_nothing_and_the_refusal_is_on_record(harness, pair):
    admin, own, _, _ = pair
    token = await token_of(harness, own)
    wrong = await ask(harness, own | {"client_secret": "wrong"}, token)
    assert (wrong.status_code, wrong.json()["error"]) == (401, "invalid_client")
    assert wrong.headers["www-authenticate"].startswith("Basic")
    await harness.event("access.refused", problem="invalid-client", route=PATH)
    for headers in ({}, admin.headers, {"authorization": f"Bearer {token}"}):
        answer = await harness.client.post(PATH, data={"token": token}, headers=headers)
        assert answer.status_code == 401
        assert "active" not in answer.json()
    elsewhere = await harness.register_system(admin, ["10.99.0.0/16"])
    answer = await ask(harness, elsewhere, token)
    assert (answer.status_code, slug(answer)) == (403, "origin-not-registered")
    await harness.event("access.refused", subject=f"system:{elsewhere['id']}", route=PATH)


async def test_a_cached_client_is_valid_from_the_same_network_only(harness, pair):
    _, own, _, _ = pair
    token = await token_of(harness, own)
    assert (await said(harness, own, token))["active"]
    transport = httpx.ASGITransport(harness.app, client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://identity.test") as elsewhere:
        auth = httpx.BasicAuth(own["client_id"], own["client_secret"])
        answer = await elsewhere.post(PATH, data={"token": token}, auth=auth)
    assert slug(answer) == "origin-not-registered"


async def test_the_endpoint_answers_as_the_standard_says(harness, pair):
    _, own, _, _ = pair
    token = await token_of(harness, own)
    hinted = await ask(harness, own, token, token_type_hint="refresh_token")
    assert hinted.json()["active"], "a hint is a hint (RFC 7662 §2.1)"
    post = {"client_id": own["client_id"], "client_secret": own["client_secret"], "token": token}
    assert (await harness.client.post(PATH, data=post)).json()["active"]
    for body in ({"token": ""}, {}, {"token": "x" * 4097}, {"token": "\0"}):
        auth = httpx.BasicAuth(own["client_id"], own["client_secret"])
        answer = await harness.client.post(PATH, data=body, auth=auth)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), body
    assert (await harness.client.get(PATH, params={"token": token})).status_code == 405
    metadata = (await harness.client.get("/.well-known/oauth-authorization-server")).json()
    issuer = metadata["issuer"]
    assert issuer == claims_of(token)["iss"]
    for member, path in (("introspection_endpoint", PATH), ("token_endpoint", "/identity/oauth/token")):
        assert metadata[member] == issuer + path
    assert (await harness.client.get(metadata["jwks_uri"].removeprefix(issuer))).json()["keys"]


@pytest.mark.clause("6.5")
async def test_introspection_is_refused_while_revocations_cannot_be_checked(harness, pair, monkeypatch):
    _, own, _, _ = pair
    token = await token_of(harness, own)
    assert (await said(harness, own, token))["active"]
    monkeypatch.setattr(harness.runtime.point, "_confirmed_at", float("-inf"))
    monkeypatch.setattr(harness.runtime.point, "_confirm", lambda at: None)
    answer = await ask(harness, own, token)
    assert (answer.status_code, slug(answer)) == (503, "revocation-feed-stale")
    assert answer.headers["retry-after"]


async def test_no_cached_client_and_no_cached_token_outlives_its_term(harness, pair):
    _, own, _, partner = pair
    token = await token_of(harness, partner)
    assert (await said(harness, own, token))["active"]
    async with harness.runtime.database.transaction() as session:
        await systems.suspend(session, harness.runtime, own["id"], reason="contained", cause="order:1")
        # What another hand did to the database, without a cutoff: a restored copy, say.
        session.info["outbox"].clear()
    assert (await said(harness, own, token))["active"]
    harness.clock.advance(CLIENT_CACHE_TERM)
    assert (await ask(harness, own, token)).status_code == 401


async def test_a_repeated_introspection_needs_no_database(harness, pair, monkeypatch):
    _, own, _, partner = pair
    token = await token_of(harness, partner)
    assert (await said(harness, own, token))["active"]
    monkeypatch.setattr(type(harness.runtime.database), "raw_transaction", None)
    answers = await asyncio.gather(*(said(harness, own, token) for _ in range(20)))
    assert all(answer["active"] for answer in answers)
