"""The gateway's settings."""

from pydantic_settings import SettingsConfigDict

from common.settings import CommonSettings

__all__ = ["Settings"]


class Settings(CommonSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_GATEWAY_", extra="ignore", hide_input_in_errors=True)
