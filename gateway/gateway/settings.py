"""The gateway's settings."""

from pathlib import Path
from typing import Self

from pydantic import model_validator
from pydantic_settings import SettingsConfigDict

from common.contracts.services import SERVICES
from common.settings import CommonSettings
from gateway.replica import Target


class Settings(CommonSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_GATEWAY_", extra="ignore", hide_input_in_errors=True)

    show_metrics: bool = False
    """Serve `/metrics` on the public port. Enable for development; disable where the gateway is reachable from outside."""
    identity_url: str = "http://127.0.0.1:8001"
    """URLs of identity, one or several separated by commas. Every address of a host name is a replica."""
    datashare_url: str = "http://127.0.0.1:8002"
    incident_url: str = "http://127.0.0.1:8003"
    audit_url: str = "http://127.0.0.1:8004"
    upstream_ca_file: Path | None = None
    """CA certificates of the services, for https URLs; None uses those of the system."""
    trusted_proxies: str | None = None
    """Addresses or networks, separated by commas, of the load balancers whose `X-Forwarded-For` is trusted."""

    @model_validator(mode="after")
    def _readable_urls(self) -> Self:
        for service in SERVICES:
            self.targets(service)
        return self

    def targets(self, service: str) -> list[Target]:
        """Return the targets of `service`."""
        return Target.parse(getattr(self, f"{service}_url"), self.upstream_ca_file)
