"""Another database password: whatever cuts the change off, doing it again finishes it."""

import stat

import asyncpg
import pytest

from deploy.embedded_postgres import EmbeddedPostgres
from deploy.secret_files import ensure_secrets
from deploy.setup_commands import SetupSettings, databases
from operations.client import CommandError, UsageError
from operations.rotation import rotate_database_password


@pytest.fixture
async def server(tmp_path_factory, monkeypatch):
    with EmbeddedPostgres.start(tmp_path_factory.mktemp("pg")) as server:
        admin = await asyncpg.connect(server.admin_dsn)
        await admin.execute("CREATE ROLE someone SUPERUSER LOGIN")
        await admin.close()
        monkeypatch.setenv("XINDUN_JOBS_DATABASE_HOST", str(server.socket_dir))
        monkeypatch.setenv("XINDUN_JOBS_SUPERUSER", "someone")
        monkeypatch.setenv("XINDUN_JOBS_KAFKA_USERNAME", "admin")
        monkeypatch.setenv("XINDUN_JOBS_PATIENCE", "0")
        yield server


@pytest.fixture
async def known(tmp_path, server):
    """The directory of secrets, and a server that knows them."""
    ensure_secrets(tmp_path / "secrets")
    password = (tmp_path / "secrets" / "jobs" / "xindun_jobs_superuser_password").read_text()
    admin = await asyncpg.connect(server.admin_dsn)
    await admin.execute(f"ALTER ROLE someone PASSWORD '{password}'")
    await admin.close()
    await databases(SetupSettings(_secrets_dir=tmp_path / "secrets" / "jobs"))
    return tmp_path / "secrets"


def of_process(directory):
    return directory / "audit" / "xindun_audit_database_password"


async def lets_in(server, password: str) -> bool:
    try:
        connection = await asyncpg.connect(
            host=str(server.socket_dir), user="audit_app", password=password, database="audit"
        )
    except asyncpg.InvalidPasswordError:
        return False
    await connection.close()
    return True


@pytest.mark.clause("7.2")
async def test_the_new_password_opens_and_the_old_one_does_not(server, known):
    before, mode = of_process(known).read_text(), of_process(known).stat().st_mode
    assert await lets_in(server, before)
    report = await rotate_database_password(known, "audit", command=None)
    assert report.well
    after = of_process(known).read_text()
    assert after != before
    assert await lets_in(server, after)
    assert not await lets_in(server, before)
    assert stat.S_IMODE(of_process(known).stat().st_mode) == stat.S_IMODE(mode)
    assert not list(of_process(known).parent.glob(".*")), "nothing half written is left"
    assert before not in report.json()
    assert after not in report.json()


async def test_an_interrupted_rotation_is_finished_and_not_repeated(server, known):
    before = of_process(known).read_text()
    with pytest.raises(CommandError, match="1"):
        await rotate_database_password(known, "audit", command="false")  # the job did not come to it
    assert of_process(known).read_text() == before
    assert await lets_in(server, before)
    pending = (known / "jobs" / "xindun_jobs_audit_app_password").read_text()
    assert pending != before
    report = await rotate_database_password(known, "audit", command=None)
    assert report.data["resumed"]
    assert of_process(known).read_text() == pending
    assert await lets_in(server, pending)
    assert not (await rotate_database_password(known, "audit", command=None)).data["resumed"]


async def test_a_directory_that_is_none_is_wrong_use(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        await rotate_database_password(tmp_path, "audit", command=None)
