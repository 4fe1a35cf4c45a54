"""Acts that end access, in parallel with acts that give it, on a real database with real commits (P1)."""

import asyncio
import itertools
from contextlib import asynccontextmanager

import asyncpg
import pytest

from identity.accounts import service as accounts
from identity.systems import service as systems
from identity.units import service as units

ROUNDS = 12


async def waiting_for_a_lock(harness) -> None:
    """Return once some transaction of identity waits for a row that another holds."""
    admin = await asyncpg.connect(harness.database.admin_dsn)
    try:
        async with asyncio.timeout(5):
            while not await admin.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0)
    finally:
        await admin.close()


@asynccontextmanager
async def not_yet_committed(harness, end):
    """Run `end(session)` and commit it only when a query waits for its locks; yields a hook to start that one."""
    started: list[asyncio.Task] = []
    async with harness.runtime.database.transaction() as session:
        await end(session)
        await session.flush()
        yield started
        await waiting_for_a_lock(harness)


async def open_sessions(harness) -> int:
    admin = await asyncpg.connect(harness.database.admin_dsn)
    try:
        query = "SELECT count(*) FROM sessions s JOIN accounts a ON a.id = s.account_id WHERE s.ended_at IS NULL"
        return await admin.fetchval(query + " AND a.state <> 'active'")
    finally:
        await admin.close()


async def everywhere(harness, subject: str, epoch: int) -> None:
    assert await harness.runtime.point.until(lambda: harness.runtime.point.holds(subject, epoch), 5)


@pytest.mark.clause("6.5")
@pytest.mark.parametrize("path", ["sign-in", "refresh"])
async def test_a_request_during_the_commit_of_the_revocation_is_refused(harness, path):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)

    async def end(session):
        await accounts.revoke(session, harness.runtime, clerk.id, reason="account-revoked", cause="departure:1")

    request = clerk.try_sign_in if path == "sign-in" else clerk.try_refresh
    async with not_yet_committed(harness, end) as started:
        started.append(asyncio.create_task(request()))
    answer = await started[0]
    assert answer.status_code == 401, answer.text
    assert await open_sessions(harness) == 0


@pytest.mark.clause("5d.3")
@pytest.mark.parametrize("path", ["sign-in", "refresh", "service-token"])
async def test_a_request_during_the_commit_of_the_units_suspension_is_refused(harness, path):
    unit, admin = await harness.bare_unit()
    system = await harness.register_system(admin)

    async def end(session):
        await units.suspend(session, harness.runtime, unit, note="检查", cause="suspended-by:center")

    request = {
        "sign-in": admin.try_sign_in,
        "refresh": admin.try_refresh,
        "service-token": lambda: harness.service_token(system),
    }[path]
    async with not_yet_committed(harness, end) as started:
        started.append(asyncio.create_task(request()))
    answer = await started[0]
    assert answer.status_code in (401, 403), answer.text


@pytest.mark.clause("12.3")
async def test_a_service_token_asked_for_while_the_containment_commits_is_refused(harness):
    _, admin = await harness.bare_unit()
    system = await harness.register_system(admin)

    async def end(session):
        await systems.suspend(session, harness.runtime, system["id"], reason="contained", cause="order:1")

    async with not_yet_committed(harness, end) as started:
        started.append(asyncio.create_task(harness.service_token(system)))
    assert (await started[0]).json()["reason"] == "system-suspended"


@pytest.mark.clause("6.5")
async def test_suspending_against_signing_in_and_refreshing_never_leaves_a_live_credential(harness):
    _, admin = await harness.bare_unit()
    clerk = await harness.clerk(admin)
    runtime = harness.runtime
    for number, late in zip(range(ROUNDS), itertools.cycle(range(4)), strict=False):
        cause = f"order:{number}"

        async def suspend(cause=cause, late=late) -> None:
            for _ in range(late * 40):
                await asyncio.sleep(0)
            async with runtime.database.transaction() as session:
                assert await accounts.suspend(session, runtime, clerk.id, reason="contained", cause=cause)

        requests = [clerk.try_refresh(), clerk.try_sign_in()]
        answers = await asyncio.gather(*requests, suspend(), return_exceptions=False)
        given = [answer.json() for answer in answers[:2] if answer.status_code in (200, 201)]
        assert await open_sessions(harness) == 0
        await everywhere(harness, f"account:{clerk.id}", number + 1)
        for tokens in given:
            assert (await harness.with_token(tokens["access_token"])).status_code == 401
            assert (await clerk.try_refresh(tokens["refresh_token"])).status_code == 401
        async with runtime.database.transaction() as session:
            assert await accounts.reinstate(session, runtime, clerk.id, cause=cause)
        await clerk.sign_in()


@pytest.mark.clause("7.6")
async def test_one_person_invited_twice_at_once_gets_one_account(harness):
    _, admin = await harness.bare_unit()
    _, other = await harness.bare_unit()
    one = harness.invitee()
    two = harness.invitee() | {"id_number": one["id_number"]}
    answers = await asyncio.gather(admin.post("/accounts", one), other.post("/accounts", two))
    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_the_same_file_twice_at_once_registers_a_unit_once(harness):
    from tests.harness.identifiers import unit_code

    text = f"name,uscc,kind,level,duties\n厦门市体育局,{unit_code()},agency,municipal,uses\n"
    answers = await asyncio.gather(harness.import_units(text), harness.import_units(text))
    assert sorted(len(answer.json()["registered"]) for answer in answers) == [0, 1]


async def test_a_code_that_two_bring_at_once_signs_one_of_them_in(harness):
    _, admin = await harness.bare_unit()
    code = admin.code()
    answers = await asyncio.gather(admin.try_sign_in(totp=code), admin.try_sign_in(totp=code))
    assert sorted(answer.status_code for answer in answers) == [201, 401]
