"""The gateway's settings."""

from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import SettingsConfigDict

from common.contracts.services import SERVICES
from common.settings import CommonSettings
from gateway.replicas import Target

__all__ = ["Settings"]


class Settings(CommonSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_GATEWAY_", extra="ignore", hide_input_in_errors=True)

    show_metrics: bool = False
    """Whether `/metrics` is answered on the public port: on one machine of one's own, yes; behind a city's door, no."""
    identity_url: str = "http://127.0.0.1:8001"
    """Where identity answers: one URL or several by commas. Every address behind a name is a replica."""
    datashare_url: str = "http://127.0.0.1:8002"
    incident_url: str = "http://127.0.0.1:8003"
    audit_url: str = "http://127.0.0.1:8004"
    upstream_ca_file: Path | None = None
    """The authority that signed the services' certificates; None takes the system's, for URLs that begin with https."""
    trusted_proxies: str | None = None
    """Addresses or networks, by commas, of load balancers in front: they alone may say in `X-Forwarded-For` who calls."""

    @model_validator(mode="after")
    def _readable_urls(self) -> Self:
        for service in SERVICES:
            self.targets(service)
        return self

    def targets(self, service: str) -> list[Target]:
        """Return where `service` is to be found."""
        return Target.parse(getattr(self, f"{service}_url"), self.upstream_ca_file)
