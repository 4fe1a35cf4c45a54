"""The gateway's settings."""

from pydantic_settings import SettingsConfigDict

from common.settings import CommonSettings

__all__ = ["Settings"]


class Settings(CommonSettings):
    """Settings of the gateway."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_GATEWAY_", extra="ignore", hide_input_in_errors=True)

    show_metrics: bool = False
    """Whether `/metrics` is answered on the public port: on one machine of one's own, yes; behind a city's door, no."""
