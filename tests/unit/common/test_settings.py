"""Settings: what a process refuses to start with, and what the example tells."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from audit.settings import Settings as AuditSettings
from common.settings import PLACEHOLDER, ServiceSettings
from datashare.settings import Settings as DatashareSettings
from gateway.settings import Settings as GatewaySettings
from identity.settings import Settings as IdentitySettings
from incident.settings import Settings as IncidentSettings

EXAMPLE = (Path(__file__).resolve().parents[3] / ".env.example").read_text()
URL = "postgresql+asyncpg://incident_app:a-long-random-password@db/incident"


def _incident(**changed) -> IncidentSettings:
    values = {"database_url": URL, "gateway_url": "http://gateway:8000", "client_secret": "a-long-random-secret"}
    return IncidentSettings.model_validate(values | changed)


@pytest.mark.clause("7.6")
@pytest.mark.parametrize("secret", [PLACEHOLDER, f"{PLACEHOLDER}: at least 16 characters", "short", ""])
def test_outside_development_no_process_starts_on_a_default_or_short_secret(secret):
    with pytest.raises(ValidationError) as refused:
        _incident(client_secret=secret)
    assert "client_secret" in str(refused.value)
    assert _incident(client_secret=secret, environment="development").client_secret.get_secret_value() == secret


def test_a_password_left_in_the_database_url_as_it_stands_in_the_example_is_refused():
    with pytest.raises(ValidationError):
        _incident(database_url=URL.replace("a-long-random-password", PLACEHOLDER))


def test_what_a_setting_holds_is_not_shown_when_it_is_refused(monkeypatch):
    monkeypatch.setenv("XINDUN_INCIDENT_PORT", "not-a-port-but-secret")
    monkeypatch.setenv("XINDUN_INCIDENT_DATABASE_URL", URL)
    monkeypatch.setenv("XINDUN_INCIDENT_CLIENT_SECRET", "a-long-random-secret")
    with pytest.raises(ValidationError) as refused:
        IncidentSettings()
    assert "not-a-port-but-secret" not in str(refused.value)


@pytest.mark.parametrize(
    "settings", [IdentitySettings, DatashareSettings, IncidentSettings, AuditSettings, GatewaySettings]
)
def test_the_example_documents_every_setting(settings):
    prefix = settings.model_config["env_prefix"]
    shared = set(ServiceSettings.model_fields)
    for name, field in settings.model_fields.items():
        wanted = f"XINDUN_IDENTITY_{name.upper()}" if name in shared else f"{prefix}{name.upper()}"
        assert wanted in EXAMPLE, wanted
        if field.annotation is SecretStr:
            assert f"{PLACEHOLDER}" in EXAMPLE.split(f"{wanted}=")[1].splitlines()[0], wanted
