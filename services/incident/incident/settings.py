"""Incident's settings from the environment."""

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """`XINDUN_INCIDENT_…`; `client_secret` is the secret of identity's client `service:incident`."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_INCIDENT_", extra="ignore", hide_input_in_errors=True)

    gateway_url: str = "http://127.0.0.1:8000"
    """Where probes send their requests: the gateway that all clients use."""
    client_id: str = "service:incident"
    client_secret: SecretStr
