"""The set-up commands for databases and migrations wait for their server, and are safe to repeat and to run at once."""

import asyncio
import secrets
import time

import asyncpg
import pytest
from pydantic import SecretStr

from common.contracts.services import SERVICES
from deploy.embedded_postgres import EmbeddedPostgres
from deploy.setup_commands import SetupError, SetupSettings, databases, migrate_service


def settings(host, **more):
    passwords = {
        f"{s}_{kind}_password": SecretStr(secrets.token_urlsafe()) for s in SERVICES for kind in ("owner", "app")
    }
    return SetupSettings(
        database_host=host, superuser="someone", superuser_password=SecretStr("of the super user"), **(passwords | more)
    )


@pytest.fixture
async def server(tmp_path_factory):
    with EmbeddedPostgres.start(tmp_path_factory.mktemp("pg")) as server:
        admin = await asyncpg.connect(server.admin_dsn)
        await admin.execute("CREATE ROLE someone SUPERUSER LOGIN PASSWORD 'of the super user'")
        await admin.close()
        yield server


async def test_concurrent_and_repeated_commands_set_up_an_empty_server(server):
    settings_ = settings(str(server.socket_dir))
    await asyncio.gather(databases(settings_), databases(settings_))
    for service in SERVICES:
        await asyncio.gather(migrate_service(settings_, service), migrate_service(settings_, service))
        await migrate_service(settings_, service)
        connection = await asyncpg.connect(
            host=str(server.socket_dir),
            user=f"{service}_app",
            password=settings_.secret(f"{service}_app_password"),
            database=service,
        )
        written = connection.transaction()
        await written.start()
        await connection.execute("INSERT INTO outbox (topic, key, body, created_at) VALUES ('t', 'k', '{}', now())")
        assert await connection.fetchval("SELECT count(*) FROM outbox WHERE topic = 't'") == 1
        await written.rollback()
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id int)")
        await connection.close()


async def test_a_command_waits_for_its_server(tmp_path_factory, server):
    settings_ = settings(str(server.socket_dir), patience=60)
    server.stop()
    waiting = asyncio.create_task(databases(settings_))
    await asyncio.sleep(0)
    again = await asyncio.to_thread(EmbeddedPostgres.start, server.data_dir)
    try:
        await waiting
        await migrate_service(settings_, "audit")
    finally:
        again.stop()


@pytest.mark.parametrize("command", [databases, lambda settings_: migrate_service(settings_, "audit")])
async def test_a_command_gives_up_after_its_patience(tmp_path, command):
    started = time.monotonic()
    with pytest.raises(SetupError, match="did not answer"):
        await command(settings(str(tmp_path), patience=0.5))
    assert time.monotonic() - started < 5


async def test_a_wrong_password_fails_without_waiting(server):
    settings_ = settings(str(server.socket_dir), patience=60)
    wrong = settings_.model_copy(update={"superuser_password": SecretStr("a wrong password")})
    with pytest.raises(SetupError, match="password authentication failed"):
        await databases(wrong)
    await databases(settings_)
    wrong = settings_.model_copy(update={"audit_owner_password": SecretStr("a wrong password")})
    with pytest.raises(SetupError, match="password authentication failed"):
        await migrate_service(wrong, "audit")


async def test_a_missing_secret_is_named(tmp_path):
    with pytest.raises(SystemExit, match="XINDUN_JOBS_AUDIT_OWNER_PASSWORD"):
        await migrate_service(SetupSettings(database_host=str(tmp_path)), "audit")
