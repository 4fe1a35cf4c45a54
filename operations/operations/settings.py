"""Settings of the operators' command line."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import CommonSettings


class OperatorSettings(CommonSettings):
    """`XINDUN_OPERATOR_…`; `XINDUN_URL` is the gateway, `XINDUN_TOKEN` the operator's access token."""

    model_config = SettingsConfigDict(
        env_prefix="XINDUN_OPERATOR_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = Field(default="http://127.0.0.1:8000", validation_alias="XINDUN_URL")
    token: SecretStr | None = Field(default=None, validation_alias="XINDUN_TOKEN")
    token_file: Path | None = Field(default=None, validation_alias="XINDUN_TOKEN_FILE")
    secrets: Path = Field(default=Path("secrets"), validation_alias="XINDUN_SECRETS")
    """The directory of `make secrets`; `rotate` writes keys and passwords there."""
    ca_file: Path | None = None
    """CA certificates that verify the gateway; None: those of the system."""
