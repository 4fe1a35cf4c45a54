"""Datashare's settings from the environment."""

from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """`XINDUN_DATASHARE_…`."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_DATASHARE_", extra="ignore", hide_input_in_errors=True)
