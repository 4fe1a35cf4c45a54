"""The settings of the command line."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import CommonSettings

__all__ = ["OperatorSettings"]


class OperatorSettings(CommonSettings):
    """`XINDUN_OPERATOR_…`, and `XINDUN_URL`, `XINDUN_TOKEN`: where the platform is, and who asks."""

    model_config = SettingsConfigDict(
        env_prefix="XINDUN_OPERATOR_", env_ignore_empty=True, extra="ignore", hide_input_in_errors=True
    )

    url: str = Field(default="http://127.0.0.1:8000", validation_alias="XINDUN_URL")
    token: SecretStr | None = Field(default=None, validation_alias="XINDUN_TOKEN")
    token_file: Path | None = Field(default=None, validation_alias="XINDUN_TOKEN_FILE")
    secrets: Path = Field(default=Path("secrets"), validation_alias="XINDUN_SECRETS")
    """The directory of `make secrets`: needed where keys and passwords are changed."""
    ca_file: Path | None = None
    """The authority that signed the gateway's certificate; None: those that the system trusts."""
