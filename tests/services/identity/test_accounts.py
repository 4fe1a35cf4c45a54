"""One person, one account: invitation, activation, suspension, revocation."""

import asyncio
from datetime import timedelta

import pyotp
import pytest

from common.storage.database import DatabaseUnavailable
from identity.accounts import service as accounts
from tests.harness.client import slug
from tests.harness.identifiers import id_number
from tests.harness.people import Person


async def invite(harness, admin, **changed):
    return await admin.post("/accounts", harness.invitee() | changed)


@pytest.mark.clause("7.6")
async def test_one_person_has_one_live_account_over_all_units(harness):
    _, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    number = id_number()
    first = await invite(harness, admin, id_number=number)
    for unit_admin, spelling in ((other, number), (admin, number.lower()), (other, f" {number}")):
        answer = await invite(harness, unit_admin, id_number=spelling)
        assert (answer.status_code, slug(answer)) == (409, "person-has-account")
    async with harness.runtime.database.transaction() as session:
        await accounts.revoke(
            session, harness.runtime, first.json()["account_id"], reason="account-revoked", cause="test:1"
        )
    assert (await invite(harness, other, id_number=number)).status_code == 201


@pytest.mark.parametrize("number", ["350203198501011234", "110101190001010000", "350203850101123", "not a number 123"])
async def test_an_invalid_id_number_is_refused(harness, number):
    _, admin = await harness.bare_unit()
    assert slug(await invite(harness, admin, id_number=number)) == "id-number-invalid"


@pytest.mark.clause("7.6")
async def test_an_activation_code_serves_once_and_in_time_and_a_newer_one_ends_it(harness):
    _, admin = await harness.bare_unit()
    invited = (await invite(harness, admin)).json()
    newer = (await admin.post(f"/accounts/{invited['account_id']}/invitations")).json()
    person = Person(harness, invited["login"], invited["account_id"])

    async def begin(code, login=invited["login"], password=person.password):
        body = {"login": login, "code": code, "password": password}
        return await harness.client.post("/identity/activations", json=body)

    for code, login in ((invited["activation_code"], invited["login"]), (newer["activation_code"], "nobody.here")):
        answer = await begin(code, login)
        assert (answer.status_code, slug(answer)) == (401, "activation-refused")
    weak = await begin(newer["activation_code"], password="password1234")
    assert (weak.status_code, slug(weak)) == (422, "password-weak")
    assert weak.json()["weaknesses"]
    await person.activate(newer["activation_code"])
    await harness.event("account.activation-begun", account_id=person.id)
    assert slug(await begin(newer["activation_code"])) == "activation-refused"
    await person.sign_in()
    assert slug(await admin.post(f"/accounts/{person.id}/invitations")) == "account-step"
    late = (await invite(harness, admin)).json()
    harness.clock.advance(timedelta(days=1))
    assert slug(await begin(late["activation_code"], late["login"])) == "activation-refused"


async def test_the_second_factor_must_be_confirmed_with_its_own_code(harness):
    _, admin = await harness.bare_unit()
    invited = (await invite(harness, admin)).json()
    known = {"login": invited["login"], "code": invited["activation_code"]}
    confirm = "/identity/activations/confirm"
    assert slug(await harness.client.post(confirm, json=known | {"totp": "000000"})) == "activation-refused"
    person = Person(harness, invited["login"], invited["account_id"])
    secret = (await harness.client.post("/identity/activations", json=known | {"password": person.password})).json()[
        "totp_secret"
    ]
    right = pyotp.TOTP(secret).at(int(harness.clock.now().timestamp()))
    wrong = "000000" if right != "000000" else "111111"
    assert slug(await harness.client.post(confirm, json=known | {"totp": wrong})) == "activation-refused"
    assert (await harness.client.post(confirm, json=known | {"totp": right})).json()["state"] == "active"
    person.secret, person.step = secret, int(harness.clock.now().timestamp()) // 30
    assert slug(await person.try_sign_in(totp=right)) == "sign-in-refused"
    await person.sign_in()


@pytest.mark.clause("7.6")
async def test_a_repeated_confirmation_is_answered_the_same_until_a_later_code_was_used(harness):
    _, admin = await harness.bare_unit()
    invited = (await invite(harness, admin)).json()
    person = Person(harness, invited["login"], invited["account_id"])
    await person.activate(invited["activation_code"])
    used = {"login": invited["login"], "code": invited["activation_code"]}
    used["totp"] = pyotp.TOTP(person.secret).at(person.step * 30)

    async def confirmed_again(**changed):
        return await harness.client.post("/identity/activations/confirm", json=used | changed)

    again = await asyncio.gather(*(confirmed_again() for _ in range(3)))
    assert [answer.status_code for answer in again] == [200] * 3
    assert {answer.json()["id"] for answer in again} == {invited["account_id"]}
    wrong = "000000" if used["totp"] != "000000" else "111111"
    assert slug(await confirmed_again(totp=wrong)) == "activation-refused"
    assert slug(await confirmed_again(code="another-code-than-the-one-sent")) == "activation-refused"
    await person.sign_in()
    assert slug(await confirmed_again()) == "activation-refused"
    await harness.event("session.opened", account_id=person.id)
    assert len(await harness.events("account.activated", account_id=person.id)) == 1


@pytest.mark.clause("6.5")
async def test_a_pending_activation_dies_with_the_account(harness):
    _, admin = await harness.bare_unit()
    for end in ("suspend", "revoke"):
        invited = (await invite(harness, admin)).json()
        known = {"login": invited["login"], "code": invited["activation_code"]}
        answer = await harness.client.post(
            "/identity/activations", json=known | {"password": "Lychee-harbor-77-granite"}
        )
        code = pyotp.TOTP(answer.json()["totp_secret"]).at(int(harness.clock.now().timestamp()))
        async with harness.runtime.database.transaction() as session:
            act = getattr(accounts, end)
            assert await act(
                session, harness.runtime, invited["account_id"], reason="departure-reported", cause="departure:1"
            )
        answer = await harness.client.post("/identity/activations/confirm", json=known | {"totp": code})
        assert slug(answer) == "activation-refused"
    async with harness.runtime.database.transaction() as session:
        first = (await harness.center.get("/accounts")).json()["items"][-2]
        assert await accounts.reinstate(session, harness.runtime, first["id"], cause="departure:1")
    assert (await admin.get(f"/accounts/{first['id']}")).json()["state"] == "invited"
    assert (await admin.post(f"/accounts/{first['id']}/invitations")).status_code == 201


@pytest.mark.clause("6.5")
async def test_several_causes_suspend_an_account_and_each_is_lifted_separately(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    runtime = harness.runtime

    async def act(verb, **more):
        async with runtime.database.transaction() as session:
            return await getattr(accounts, verb)(session, runtime, clerk.id, **more)

    assert await act("suspend", reason="contained", cause="order:1")
    assert not await act("suspend", reason="contained", cause="order:1")
    assert await act("suspend", reason="contained", cause="order:2")
    detail = (await admin.get(f"/accounts/{clerk.id}")).json()
    assert [row["cause"] for row in detail["suspensions"]] == ["order:1", "order:2"]
    assert not await act("reinstate", cause="order:3")
    assert not await act("reinstate", cause="order:1")
    assert slug(await clerk.try_sign_in()) == "account-suspended"
    assert await act("reinstate", cause="order:2")
    assert not await act("reinstate", cause="order:2")
    old = clerk.tokens
    await clerk.sign_in()
    assert slug(await harness.with_token(old["access_token"])) == "credential-revoked"
    assert (await clerk.try_refresh(old["refresh_token"])).json()["reason"] == "ended"
    assert await act("revoke", reason="account-revoked", cause="departure:1")
    assert not await act("revoke", reason="account-revoked", cause="departure:1")
    assert await act("suspend", reason="contained", cause="order:4")
    assert not await act("reinstate", cause="order:4")
    assert (await admin.get(f"/accounts/{clerk.id}")).json()["state"] == "revoked"
    await harness.event("appointment.ended", account_id=clerk.id)
    await harness.event("account.revoked", account_id=clerk.id)
    assert len(await harness.events("account.suspended", account_id=clerk.id)) == 2
    assert len(await harness.events("account.reinstated", account_id=clerk.id)) == 1


@pytest.mark.clause("6.5")
async def test_the_center_suspends_and_reinstates_and_no_person_their_own_account(harness):
    _, admin = await harness.bare_unit()
    path = f"/accounts/{admin.id}"
    answer = await harness.center.post(f"{path}/suspend", {"reason": "核查"})
    assert answer.json()["account"]["state"] == "suspended"
    assert answer.json()["effective"]["effective_at"]
    assert (await admin.get("/me")).json()["reason"] == "account-suspended"
    assert (await harness.center.post(f"{path}/suspend", {"reason": "核查"})).status_code == 200
    assert (await harness.center.post(f"{path}/reinstate")).json()["state"] == "active"
    await admin.sign_in()
    assert slug(await admin.post(f"{path}/suspend", {"reason": "试试"})) == "permission-missing"
    own = await harness.center.post(f"/accounts/{harness.center.id}/suspend", {"reason": "试试"})
    assert (own.status_code, slug(own)) == (403, "own-account")


async def test_sixty_suspensions_with_one_key_are_one_act_with_one_final_answer(harness):
    _, admin = await harness.bare_unit()

    async def suspend():
        keyed = {"headers": {"Idempotency-Key": "suspend-it-once"}}
        return await harness.center.post(f"/accounts/{admin.id}/suspend", {"reason": "核查"}, **keyed)

    answers = await asyncio.gather(*(suspend() for _ in range(60)))
    assert {answer.status_code for answer in answers} == {200}
    (first,) = [answer for answer in answers if "Idempotency-Replayed" not in answer.headers]
    assert first.json()["effective"]["effective_at"]
    assert (await suspend()).json() == first.json()
    await harness.event("account.suspended", account_id=admin.id)
    assert len(await harness.events("account.suspended", account_id=admin.id)) == 1


async def test_a_suspension_whose_wait_failed_stands_and_a_repeat_says_so(harness, monkeypatch):
    _, admin = await harness.bare_unit()

    async def fail(_):
        raise DatabaseUnavailable

    keyed = {"headers": {"Idempotency-Key": "suspend-in-the-dark"}}
    path, body = f"/accounts/{admin.id}/suspend", {"reason": "核查"}
    with monkeypatch.context() as patched:
        patched.setattr(harness.runtime.acknowledgements, "wait", fail)
        assert (await harness.center.post(path, body, **keyed)).status_code == 503
    repeated = await harness.center.post(path, body, **keyed)
    assert (repeated.status_code, repeated.headers["Idempotency-Replayed"]) == (200, "true")
    assert repeated.json()["account"]["state"] == "suspended"
    assert repeated.json()["effective"]["effective_at"] is None
    await harness.event("account.suspended", account_id=admin.id)


async def test_a_unit_sees_its_own_people_only(harness):
    unit, admin = await harness.bare_unit()
    other, stranger = await harness.bare_unit()
    assert [row["id"] for row in (await admin.get("/accounts")).json()["items"]] == [admin.id]
    assert (await admin.get(f"/accounts/{stranger.id}")).status_code == 404
    assert (await admin.get(f"/accounts?unit={other}")).status_code == 404
    assert (await admin.post(f"/accounts/{stranger.id}/invitations")).status_code == 404
    assert [row["id"] for row in (await harness.authority.get(f"/accounts?unit={unit}")).json()["items"]] == [admin.id]


async def test_only_the_center_invites_administrators_and_renews_their_codes(harness):
    unit, admin = await harness.bare_unit()
    body = harness.invitee() | {"unit_id": unit}
    assert slug(await admin.post("/accounts/administrators", body)) == "permission-missing"
    invited = (await harness.center.post("/accounts/administrators", body)).json()
    assert (await harness.center.post(f"/accounts/{invited['account_id']}/invitations")).status_code == 201
    clerk = (await invite(harness, admin)).json()
    assert (await harness.center.post(f"/accounts/{clerk['account_id']}/invitations")).status_code == 404
    center_unit = (await harness.center.get("/me")).json()["unit"]["id"]
    answer = await harness.center.post("/accounts/administrators", harness.invitee() | {"unit_id": center_unit})
    assert answer.status_code == 404
    assert slug(await invite(harness, admin, login=clerk["login"])) == "login-taken"
