"""Identity's settings from the environment."""

import base64
import binascii
import hashlib
import hmac
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings
from common.storage.encryption import KEY_BYTES


class Settings(ServiceSettings):
    """`XINDUN_IDENTITY_…`."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_IDENTITY_", extra="ignore", hide_input_in_errors=True)

    signing_key_pem: SecretStr
    """The P-256 private keys that sign access tokens, as unencrypted PEM, the oldest first: the newest signs."""
    totp_key: SecretStr
    """32 bytes in base64: encrypts the secrets of second factors."""
    pepper: SecretStr
    """Keys the digests of ID numbers and logins, so that the database alone reveals neither."""
    incident_client_secret_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    """SHA-256 of the secret of the platform's own client `service:incident`."""

    @field_validator("totp_key")
    @classmethod
    def _of_right_length(cls, value: SecretStr) -> SecretStr:
        try:
            key = base64.b64decode(value.get_secret_value(), validate=True)
        except binascii.Error:
            key = b""
        if len(key) != KEY_BYTES:
            raise ValueError(f"not {KEY_BYTES} bytes in base64")
        return value

    def encryption_key(self) -> bytes:
        """Return the key that encrypts the secrets of second factors."""
        return base64.b64decode(self.totp_key.get_secret_value())

    def digest(self, kind: str, value: str) -> bytes:
        """Return the keyed digest (HMAC-SHA256) of a personal value; `kind` keeps digests of different things apart."""
        return hmac.digest(self.pepper.get_secret_value().encode(), f"{kind}:{value}".encode(), hashlib.sha256)
