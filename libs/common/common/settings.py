"""The settings that every process has; each service adds its own in its `settings.py`. Nothing else reads the environment."""

from typing import Literal, Self

from pydantic import SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["PLACEHOLDER", "CommonSettings", "ServiceSettings"]

PLACEHOLDER = "change-me"
"""How every secret of `.env.example` begins; outside development no process starts with one."""

SHORTEST_SECRET = 16


class CommonSettings(BaseSettings):
    """Settings of the gateway and of every service. Raises `ValidationError` at start for what is missing or weak."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_", extra="ignore", hide_input_in_errors=True)

    environment: Literal["development", "production"] = "production"
    issuer: str = "https://xindun.local"
    instance: str = "1"
    """Tells replicas of one service apart."""
    host: str = "127.0.0.1"
    port: int = 8000
    body_limit: int = 1 << 20
    """Bytes of a request body; routes that stream a file have their own bound."""
    request_timeout: float = 30.0
    """Seconds after which a request is given up."""
    kafka_bootstrap: str | None = None
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _no_default_secret(self) -> Self:
        if self.environment == "development":
            return self
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                secret = value.get_secret_value()
                if PLACEHOLDER in secret or len(secret) < SHORTEST_SECRET:
                    raise ValueError(f"{name}: a default or short secret is refused outside development")
        return self


class ServiceSettings(CommonSettings):
    """Settings of a process with a database."""

    database_url: SecretStr
    """`postgresql+asyncpg://…` as the serving role."""
    pool_size: int = 8
