"""The embedded PostgreSQL: its borders between services, and what survives a kill."""

import os
import signal
import stat
import subprocess
import sys

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from deploy.embedded_postgres import (
    AlreadyRunningError,
    EmbeddedPostgres,
    copy_database,
    database_url,
    drop_database,
    ensure_databases,
)

SERVICES = ["identity", "audit"]
PASSWORDS = {f"{service}_{role}": f"{service}-{role}-p@ss'w/rd" for service in SERVICES for role in ("owner", "app")}

STARTER = """
import pathlib, sys
from deploy.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres.start(pathlib.Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with EmbeddedPostgres.start(tmp_path_factory.mktemp("pg")) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
async def databases(server):
    await ensure_databases(server.admin_dsn, SERVICES, PASSWORDS)


@pytest.fixture
async def admin(server):
    connection = await asyncpg.connect(server.admin_dsn)
    yield connection
    await connection.close()


async def enter(server, role, database, password=None):
    return await asyncpg.connect(
        host=str(server.socket_dir), user=role, password=password or PASSWORDS[role], database=database
    )


async def statement(server, role, database, sql):
    connection = await enter(server, role, database)
    try:
        return await connection.fetch(sql)
    finally:
        await connection.close()


def starter(data_dir):
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "up\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdin.close()
    process.stdout.close()


@pytest.mark.clause("6.2")
@pytest.mark.parametrize("role", ["identity_app", "identity_owner"])
@pytest.mark.parametrize("database", ["audit", "postgres", "template1"])
async def test_a_role_of_one_service_cannot_enter_another_database(server, role, database):
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await enter(server, role, database)


async def test_the_owner_makes_tables_and_the_serving_role_does_not(server):
    await statement(server, "identity_owner", "identity", "CREATE TABLE mine (id int)")
    for sql in (
        "CREATE TABLE theirs (id int)",
        "CREATE TEMP TABLE theirs (id int)",
        "CREATE SCHEMA theirs",
        "SELECT * FROM mine",
        "DROP TABLE mine",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await statement(server, "identity_app", "identity", sql)
    await statement(server, "identity_owner", "identity", "GRANT SELECT ON mine TO identity_app")
    assert await statement(server, "identity_app", "identity", "SELECT * FROM mine") == []


async def test_a_new_function_is_nobodys_until_a_migration_grants_it(server):
    await statement(
        server, "audit_owner", "audit", "CREATE FUNCTION one() RETURNS int SECURITY DEFINER LANGUAGE sql RETURN 1"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await statement(server, "audit_app", "audit", "SELECT one()")


async def test_the_serving_role_has_time_limits_and_the_owner_has_none(server):
    limits = "SELECT current_setting('statement_timeout') AS s, current_setting('lock_timeout') AS l, "
    limits += "current_setting('idle_in_transaction_session_timeout') AS i"
    assert tuple((await statement(server, "audit_app", "audit", limits))[0]) == ("15s", "5s", "30s")
    assert tuple((await statement(server, "audit_owner", "audit", limits))[0]) == ("0", "0", "0")


@pytest.mark.parametrize(
    "attempt", [{"user": "postgres", "password": "postgres"}, {"user": "audit_app", "password": "x"}]
)
async def test_nobody_enters_by_a_wrong_password_and_the_superuser_not_by_network(tmp_path, unused_tcp_port, attempt):
    with EmbeddedPostgres.start(tmp_path, port=unused_tcp_port) as server:
        await ensure_databases(server.admin_dsn, ["audit"], PASSWORDS)
        with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
            await asyncpg.connect(host="127.0.0.1", port=unused_tcp_port, database="audit", ssl=False, **attempt)
        served = await asyncpg.connect(
            host="127.0.0.1", port=unused_tcp_port, database="audit", user="audit_app", password=PASSWORDS["audit_app"]
        )
        await served.close()


@pytest.fixture
def unused_tcp_port(unused_tcp_port_factory):
    return unused_tcp_port_factory()


async def test_setting_up_again_changes_nothing_but_a_changed_password(server, admin):
    stored = "SELECT rolpassword FROM pg_authid WHERE rolname LIKE '%\\_app' ORDER BY rolname"
    before = await admin.fetch(stored)
    await ensure_databases(server.admin_dsn, SERVICES, PASSWORDS)
    assert await admin.fetch(stored) == before
    await ensure_databases(server.admin_dsn, SERVICES, PASSWORDS | {"audit_app": "another"})
    assert (await admin.fetch(stored))[1] == before[1]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await enter(server, "audit_app", "audit")
    await (await enter(server, "audit_app", "audit", "another")).close()
    await ensure_databases(server.admin_dsn, SERVICES, PASSWORDS)


async def test_a_copy_of_a_database_keeps_its_tables_and_its_borders(server, admin):
    await statement(server, "audit_owner", "audit", "CREATE TABLE leaf (id int)")
    await statement(server, "audit_owner", "audit", "GRANT INSERT ON leaf TO audit_app")
    await copy_database(admin, "audit", "audit_copy", "audit_owner")
    await statement(server, "audit_app", "audit_copy", "INSERT INTO leaf VALUES (1)")
    for role in ("identity_app", "identity_owner"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await enter(server, role, "audit_copy")
    await drop_database(admin, "audit_copy")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await enter(server, "audit_app", "audit_copy")


async def test_the_url_serves_sqlalchemy(server):
    engine = create_async_engine(server.url("identity_app", PASSWORDS["identity_app"], "identity"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_user"))).scalar_one() == "identity_app"
    await engine.dispose()


async def test_the_cluster_sorts_by_code_point_keeps_checksums_and_logs_no_content(server, admin):
    locale = await admin.fetchrow("SELECT datlocprovider, datlocale FROM pg_database WHERE datname = 'audit'")
    assert tuple(locale) == (b"b", "C.UTF-8")
    assert await admin.fetchval("SELECT 'É' ~* 'é'")
    for setting, value in {"data_checksums": "on", "fsync": "on", "max_connections": "200"}.items():
        assert await admin.fetchval("SELECT current_setting($1)", setting) == value
    with pytest.raises(asyncpg.DataError):
        await admin.fetch("SELECT '110101199003070011'::uuid")
    assert "110101199003070011" not in (server.data_dir / "postgres" / "server.log").read_text()
    assert stat.S_IMODE(server.socket_dir.stat().st_mode) == 0o700


async def test_a_killed_platform_finds_its_data_again(tmp_path):
    first = starter(tmp_path)
    try:
        dsn = f"postgresql://postgres@/postgres?host={tmp_path / 'socket'}"
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
    finally:
        kill(first)
    left = await connection.fetchval("SELECT pg_backend_pid()")
    with EmbeddedPostgres.start(tmp_path) as again:
        assert not psutil.pid_exists(left)
        other = await asyncpg.connect(again.admin_dsn)
        assert await other.fetchval("SELECT id FROM kept") == 1
        await other.close()
    connection.terminate()


async def test_a_killed_server_finds_its_data_again(tmp_path):
    with EmbeddedPostgres.start(tmp_path) as server:
        connection = await asyncpg.connect(server.admin_dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS id")
        os.kill(int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        connection.terminate()
    with EmbeddedPostgres.start(tmp_path) as server:
        connection = await asyncpg.connect(server.admin_dsn)
        assert await connection.fetchval("SELECT id FROM kept") == 1
        await connection.close()


def test_a_second_start_on_the_same_data_says_who_is_there(tmp_path):
    first = starter(tmp_path)
    try:
        with pytest.raises(AlreadyRunningError, match=str(first.pid)) as refused:
            EmbeddedPostgres.start(tmp_path)
        assert refused.value.pid == first.pid
    finally:
        kill(first)
    EmbeddedPostgres.start(tmp_path).stop()


def test_a_start_that_was_killed_while_making_the_cluster_is_repeated(tmp_path):
    unfinished = tmp_path / "unfinished-old"
    unfinished.mkdir(mode=0o700)
    (unfinished / "PG_VERSION").write_text("18\n")
    EmbeddedPostgres.start(tmp_path).stop()
    assert not unfinished.exists()


def test_a_process_that_got_the_old_number_of_the_server_is_left_alone(tmp_path):
    EmbeddedPostgres.start(tmp_path).stop()
    with subprocess.Popen(["sleep", "60"]) as innocent:
        for left in (tmp_path / "postgres" / "postmaster.pid", tmp_path / "socket" / ".s.PGSQL.5432.lock"):
            left.write_text(f"{innocent.pid}\n{tmp_path / 'postgres'}\n")
        EmbeddedPostgres.start(tmp_path).stop()
        assert innocent.poll() is None
        innocent.kill()


async def test_a_long_or_odd_path_of_the_data_gets_a_short_socket(tmp_path):
    for name in ("长" * 40, "two words'"):
        with EmbeddedPostgres.start(tmp_path / name) as server:
            assert len(str(server.socket_dir)) < 60
            await (await asyncpg.connect(server.admin_dsn)).close()


def test_a_url_carries_any_password():
    assert database_url("a b", "p/w", "d", "/s") == "postgresql+asyncpg://a%20b:p%2Fw@/d?host=/s&port=5432"


async def test_a_service_of_an_odd_name_is_refused(server):
    with pytest.raises(ValueError, match="not a name"):
        await ensure_databases(server.admin_dsn, ["a; DROP"], PASSWORDS)
