"""The jobs before the services: databases and migrations, patient, repeatable, several at once."""

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


async def test_an_empty_server_becomes_the_platforms_whoever_comes_first_and_again(server):
    known = settings(str(server.socket_dir))
    await asyncio.gather(databases(known), databases(known))
    for service in SERVICES:
        await asyncio.gather(migrate_service(known, service), migrate_service(known, service))
        await migrate_service(known, service)
        connection = await asyncpg.connect(
            host=str(server.socket_dir),
            user=f"{service}_app",
            password=known.secret(f"{service}_app_password"),
            database=service,
        )
        assert await connection.fetchval("SELECT count(*) FROM outbox") >= 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id int)")
        await connection.close()


async def test_a_job_waits_for_its_server(tmp_path_factory, server):
    known = settings(str(server.socket_dir), patience=60)
    server.stop()
    waiting = asyncio.create_task(databases(known))
    await asyncio.sleep(0)
    again = await asyncio.to_thread(EmbeddedPostgres.start, server.data_dir)
    try:
        await waiting
        await migrate_service(known, "audit")
    finally:
        again.stop()


@pytest.mark.parametrize("job", [databases, lambda known: migrate_service(known, "audit")])
async def test_but_not_for_ever(tmp_path, job):
    began = time.monotonic()
    with pytest.raises(SetupError, match="did not answer"):
        await job(settings(str(tmp_path), patience=0.5))
    assert time.monotonic() - began < 5


async def test_a_wrong_password_is_no_matter_of_waiting(server):
    known = settings(str(server.socket_dir), patience=60)
    wrong = known.model_copy(update={"superuser_password": SecretStr("another password than his")})
    with pytest.raises(SetupError, match="password authentication failed"):
        await databases(wrong)
    await databases(known)
    wrong = known.model_copy(update={"audit_owner_password": SecretStr("another password than his")})
    with pytest.raises(SetupError, match="password authentication failed"):
        await migrate_service(wrong, "audit")


async def test_a_missing_secret_is_named(tmp_path):
    with pytest.raises(SystemExit, match="XINDUN_JOBS_AUDIT_OWNER_PASSWORD"):
        await migrate_service(SetupSettings(database_host=str(tmp_path)), "audit")
