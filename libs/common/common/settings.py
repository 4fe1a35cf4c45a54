"""The settings that every process has; each service adds its own in its `settings.py`. Nothing else reads the environment."""

import os
import ssl
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import make_url

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
    drain_delay: float = Field(default=3.0, ge=0)
    """Seconds between "not ready" and the last accepted connection: longer than any health-check interval."""
    kafka_bootstrap: str | None = None
    kafka_username: str | None = None
    """The process's own principal; None speaks without proving who it is, where the broker lets it."""
    kafka_password: SecretStr | None = None
    kafka_ca_file: Path | None = None
    """The authority that signed the brokers' certificates; None speaks to them without TLS."""
    tls_certificate: Path | None = None
    """PEM chain with which this process proves itself to its callers; None serves without TLS."""
    tls_key: Path | None = None
    origin_key: SecretStr | None = None
    """Key of the signature on a client address (`common.web.client_address`); service keys are derived from the gateway's."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def load(cls) -> Self:
        """Return the settings of this process: from the environment, and a file for each secret in `XINDUN_SECRETS_DIR`."""
        return cls(_secrets_dir=os.environ.get("XINDUN_SECRETS_DIR"))

    @model_validator(mode="after")
    def _whole_pairs(self) -> Self:
        if (self.kafka_username is None) != (self.kafka_password is None):
            raise ValueError("kafka_username, kafka_password: one without the other")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate, tls_key: one without the other")
        return self

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
    """`postgresql+asyncpg://…` as the serving role; the password may be left to `database_password`."""
    database_password: SecretStr | None = None
    database_ca_file: Path | None = None
    """The authority that signed the server's certificate; None speaks to it without TLS."""
    pool_size: int = 8
    outbox_kept_days: int = Field(default=30, ge=30)
    """Days after which what was published need not be kept here: no less than the bus keeps it."""

    def full_database_url(self) -> str:
        """Return the URL with its password, as SQLAlchemy takes it."""
        url = make_url(self.database_url.get_secret_value())
        if self.database_password:
            url = url.set(password=self.database_password.get_secret_value())
        return url.render_as_string(hide_password=False)

    def database_tls(self) -> ssl.SSLContext | None:
        """Return how the database server has to prove itself; None: the connection stays without TLS."""
        return ssl.create_default_context(cafile=self.database_ca_file) if self.database_ca_file else None
