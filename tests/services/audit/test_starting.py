"""Audit begins, and can be checked, from outside: without its database, and by its command."""

import asyncio
import os
import sys

import asyncpg
import pytest
from pydantic import SecretStr, ValidationError

from audit.settings import Settings
from audit.tlog.signed_notes import generate_signer
from common.problems import Unavailable
from tests.services.audit.harness import ORIGIN


async def fsck(harness, **environment):
    """Run the command as an operator does."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "audit.fsck",
        env=os.environ
        | {
            "PYTHONUTF8": "1",
            "XINDUN_AUDIT_DATABASE_URL": harness.database.app,
            "XINDUN_AUDIT_LOG_KEY": harness.signer.private_text(),
            "XINDUN_AUDIT_LOG_ORIGIN": ORIGIN,
        }
        | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.clause("12.4")
async def test_fsck_confirms_a_whole_log_and_names_the_first_bad_record(harness):
    await harness.deliver(*harness.messages(300))
    code, output = await fsck(harness)
    assert (code, "300" in output) == (0, True)
    await harness.sql("UPDATE leaves SET body = body || ' ' WHERE index IN (7, 280)", free="leaves")
    code, output = await fsck(harness)
    assert code == 1
    assert [line.split(":")[0] for line in output.splitlines()] == ["altered 7", "altered 280"]
    assert (await fsck(harness, XINDUN_AUDIT_DATABASE_URL="postgresql+asyncpg://x@127.0.0.1:1/x"))[0] == 2
    assert (await fsck(harness, XINDUN_AUDIT_LOG_KEY="change-me"))[0] == 2


async def test_audit_starts_without_its_database_and_opens_the_log_when_it_comes(make_harness, fresh_database):
    database = await fresh_database("audit")
    admin = await asyncpg.connect(database.admin_dsn.replace(f"@/{database.name}?", "@/postgres?"))
    try:
        await admin.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT 0")
        harness = await make_harness(database)
        with pytest.raises(Unavailable):
            await harness.deliver(harness.message())
        assert (await harness.get("checkpoint")).status_code == 503
        await admin.execute(f"ALTER DATABASE {database.name} CONNECTION LIMIT -1")
    finally:
        await admin.close()
    await harness.deliver(harness.message(number=1))
    assert (await harness.get("checkpoint")).text.splitlines()[1] == "1"
    assert await harness.fsck() == (1, [])


async def test_it_does_not_start_with_a_key_that_is_not_the_logs():
    def settings(key: str) -> Settings:
        return Settings(database_url=SecretStr("postgresql+asyncpg://x"), log_key=SecretStr(key), log_origin=ORIGIN)

    settings(generate_signer(ORIGIN).private_text())
    secret = generate_signer("another.log").private_text()
    for key in (secret, "PRIVATE+KEY+nonsense-of-some-length", "change-me-please-now"):
        with pytest.raises(ValidationError) as error:
            settings(key)
        assert key not in str(error.value)
