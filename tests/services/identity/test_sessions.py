"""Sign-in, refresh and sign-out, also under many parallel attempts."""

import asyncio
from datetime import timedelta

import pytest

from tests.harness.client import slug


@pytest.mark.clause("7.6")
async def test_every_refused_sign_in_gets_the_same_answer(harness):
    _, admin = await harness.bare_unit()
    answers = [
        await admin.try_sign_in(login="nobody.here"),
        await admin.try_sign_in(login="not even a login!"),
        await admin.try_sign_in(password="wrong-password-123"),
        await admin.try_sign_in(totp="000000"),
    ]
    bodies = [{k: v for k, v in answer.json().items() if k not in ("instance", "request_id")} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["type"].endswith("sign-in-refused")
    assert {answer.status_code for answer in answers} == {401}
    await harness.event("sign-in.failed", account_id=admin.id, reason="password", locked=False)
    await harness.event("sign-in.failed", account_id=admin.id, reason="code")


@pytest.mark.clause("7.6")
async def test_a_code_serves_once(harness):
    _, admin = await harness.bare_unit()
    code = admin.code()
    assert (await admin.try_sign_in(totp=code)).status_code == 201
    assert slug(await admin.try_sign_in(totp=code)) == "sign-in-refused"


@pytest.mark.clause("7.6")
async def test_failures_in_a_row_lock_the_login_for_a_while(harness):
    _, admin = await harness.bare_unit()
    for _ in range(5):
        await admin.try_sign_in(password="wrong-password-123")
    await harness.event("sign-in.failed", account_id=admin.id, locked=True)
    assert slug(await admin.try_sign_in()) == "sign-in-refused"
    await harness.event("sign-in.failed", account_id=admin.id, reason="locked")
    harness.clock.advance(timedelta(seconds=901))
    await admin.sign_in()
    for _ in range(4):
        await admin.try_sign_in(password="wrong-password-123")
    await admin.sign_in()
    await admin.try_sign_in(password="wrong-password-123")
    await admin.sign_in()


@pytest.mark.clause("7.6")
async def test_attempts_at_once_do_not_get_around_the_bound(harness):
    _, admin = await harness.bare_unit()
    await asyncio.gather(*(admin.try_sign_in(password=f"wrong-password-{n}") for n in range(12)))
    assert slug(await admin.try_sign_in()) == "sign-in-refused"
    await harness.event("sign-in.failed", account_id=admin.id, reason="locked")
    assert len(await harness.events("sign-in.failed", account_id=admin.id, reason="password")) == 5


@pytest.mark.clause("7.6")
async def test_a_refresh_token_serves_once_and_a_second_use_ends_the_session(harness):
    _, admin = await harness.bare_unit()
    first = admin.tokens
    await admin.refresh()
    second = admin.tokens
    assert second["session_id"] == first["session_id"]
    answer = await admin.try_refresh(first["refresh_token"])
    assert (answer.status_code, answer.json()["reason"]) == (401, "reused")
    assert (await admin.try_refresh(second["refresh_token"])).json()["reason"] == "ended"
    await harness.event("session.ended", session_id=first["session_id"], reason="refresh-token-reused")
    assert len(await harness.events("session.refreshed", session_id=first["session_id"])) == 1
    assert await harness.runtime.point.until(
        lambda: harness.runtime.point.holds(f"session:{first['session_id']}", 1), 5
    )
    for tokens in (first, second):
        assert slug(await harness.with_token(tokens["access_token"])) == "credential-revoked"
    assert (await admin.try_refresh("x" * 43)).json()["reason"] == "unknown"
    await admin.sign_in()
    assert (await admin.get("/me")).status_code == 200


async def test_of_two_refreshes_at_once_one_ends_the_session(harness):
    _, admin = await harness.bare_unit()
    answers = await asyncio.gather(admin.try_refresh(), admin.try_refresh())
    assert sorted(answer.status_code for answer in answers) == [200, 401]
    winner = next(answer for answer in answers if answer.status_code == 200).json()
    assert (await admin.try_refresh(winner["refresh_token"])).json()["reason"] == "ended"


@pytest.mark.clause("7.6")
async def test_signing_out_ends_the_session_and_no_other(harness):
    _, admin = await harness.bare_unit()
    other = dict(admin.tokens)
    await admin.sign_in()
    answer = await harness.client.delete("/identity/sessions/current", headers=admin.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["effective_at"]
    assert slug(await admin.get("/me")) == "credential-revoked"
    assert (await admin.try_refresh()).json()["reason"] == "ended"
    assert (await harness.with_token(other["access_token"])).status_code == 200


@pytest.mark.clause("7.6")
async def test_tokens_and_sessions_end_by_themselves(harness):
    _, admin = await harness.bare_unit()
    harness.clock.advance(timedelta(seconds=601))
    assert (await admin.get("/me")).json()["reason"] == "expired"
    await admin.refresh()
    harness.clock.advance(timedelta(hours=12) - timedelta(seconds=601 + 100))
    await admin.refresh()
    assert admin.tokens["expires_in"] <= 100
    harness.clock.advance(timedelta(seconds=100))
    assert (await admin.try_refresh()).json()["reason"] == "expired"


async def test_no_secret_lies_in_the_database_as_it_was_given(harness):
    import asyncpg

    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)
    connection = await asyncpg.connect(harness.database.admin_dsn)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        kept = ""
        for table in tables:
            for row in await connection.fetch(f'SELECT * FROM "{table["tablename"]}"'):
                kept += repr([bytes(v) if isinstance(v, bytes | memoryview) else v for v in row.values()])
    finally:
        await connection.close()
    secrets = (admin.password, admin.secret, admin.refresh_token, system["client_secret"])
    assert admin.login in kept
    assert not [secret for secret in secrets if secret in kept]
