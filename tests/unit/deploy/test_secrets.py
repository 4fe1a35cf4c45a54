"""`make secrets` generates every secret of a process once, readable for its owner and one group."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from hmac import digest

import pytest

from audit.settings import Settings as AuditSettings
from common.contracts.services import SERVICES
from common.contracts.topics import PRINCIPALS
from datashare.settings import Settings as DatashareSettings
from deploy.secret_files import ensure_secrets
from deploy.setup_commands import SetupSettings
from gateway.settings import Settings as GatewaySettings
from identity.settings import Settings as IdentitySettings
from incident.settings import Settings as IncidentSettings

SETTINGS = {
    "identity": IdentitySettings,
    "datashare": DatashareSettings,
    "incident": IncidentSettings,
    "audit": AuditSettings,
    "gateway": GatewaySettings,
    "jobs": SetupSettings,
}


@pytest.fixture
def directory(tmp_path):
    assert ensure_secrets(tmp_path / "secrets") == []
    return tmp_path / "secrets"


def contents(directory):
    return {str(file.relative_to(directory)): file.read_text() for file in directory.rglob("*") if file.is_file()}


@pytest.mark.parametrize("process", SETTINGS)
def test_a_directory_of_secrets_is_all_that_a_process_needs_in_production(directory, process, monkeypatch):
    monkeypatch.setenv("XINDUN_SECRETS_DIR", str(directory / process))
    monkeypatch.setenv(f"XINDUN_{process.upper()}_KAFKA_USERNAME", process)
    if process in SERVICES:
        url = f"postgresql+asyncpg://{process}_app@localhost/{process}"
        monkeypatch.setenv(f"XINDUN_{process.upper()}_DATABASE_URL", url)
    monkeypatch.setenv("XINDUN_AUDIT_LOG_ORIGIN", "xindun.local/audit")
    settings = SETTINGS[process].load()
    assert settings.environment == "production"
    for file in (directory / process).iterdir():
        name = file.name.removeprefix(f"xindun_{process}_")
        value = getattr(settings, name)
        assert (value if isinstance(value, str) else value.get_secret_value()) == file.read_text().strip()


def test_what_two_processes_share_is_the_same_in_both(directory):
    made = contents(directory)
    for service in SERVICES:
        assert made[f"{service}/xindun_{service}_database_password"] == made[f"jobs/xindun_jobs_{service}_app_password"]
        derived = digest(made["gateway/xindun_gateway_origin_key"].encode(), service.encode(), "sha256").hex()
        assert made[f"{service}/xindun_{service}_origin_key"] == derived
    for principal in PRINCIPALS:
        theirs = made[f"{principal}/xindun_{principal}_kafka_password"]
        assert theirs == made[f"jobs/xindun_jobs_kafka_{principal}_password"]
    assert made["postgres/superuser_password"] == made["jobs/xindun_jobs_superuser_password"]
    assert made["kafka/admin_password"] == made["jobs/xindun_jobs_kafka_password"]
    secret = made["incident/xindun_incident_client_secret"]
    assert made["identity/xindun_identity_incident_client_secret_hash"] == sha256(secret.encode()).hexdigest()


def test_no_two_installations_share_a_secret(directory, tmp_path):
    ensure_secrets(tmp_path / "another")
    assert not set(contents(directory).values()) & set(contents(tmp_path / "another").values())


def test_what_is_there_is_never_written_again_and_what_is_missing_is_made(directory):
    before = contents(directory)
    (directory / "audit" / "xindun_audit_kafka_password").unlink()
    assert ensure_secrets(directory) == []
    assert contents(directory) == before


def test_a_copy_that_is_not_the_same_any_more_is_reported_and_left(directory):
    (directory / "audit" / "xindun_audit_kafka_password").write_text("rotated by hand")
    differences = ensure_secrets(directory)
    assert len(differences) == 1
    assert "audit/xindun_audit_kafka_password" in differences[0]
    assert "rotated by hand" not in differences[0]
    assert (directory / "audit" / "xindun_audit_kafka_password").read_text() == "rotated by hand"


def test_several_at_once_agree(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        differences = list(pool.map(ensure_secrets, [tmp_path / "secrets"] * 4))
    assert differences == [[]] * 4
    assert ensure_secrets(tmp_path / "secrets") == []


def test_only_their_user_comes_in_and_only_one_group_may_read_what_is_mounted_from_there(directory):
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for path in directory.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o750 if path.is_dir() else 0o640)
        assert path.stat().st_gid == (10001 if os.geteuid() == 0 else os.getegid())
        assert not path.name.startswith(".")
