"""Audit's settings from the environment."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from audit.tlog.signed_notes import NoteError, Signer
from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """`XINDUN_AUDIT_…`. The log's signing key is a setting, so that the database's owner cannot re-sign a log."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_AUDIT_", extra="ignore", hide_input_in_errors=True)

    log_key: SecretStr
    """`PRIVATE+KEY+<name>+<hash>+<seed>`, as `audit.tlog.signed_notes.generate_signer` makes it; its name is the origin."""
    log_origin: str
    """The log's permanent name: every checkpoint contains it."""
    evidence_most_records: int = Field(default=10_000, ge=1)
    evidence_most_bytes: int = Field(default=64 << 20, ge=1)
    """Limit of the records' bytes in one evidence package."""
    silence_term: float = Field(default=30.0, gt=0)
    """Seconds without an event or heartbeat after which a producer counts as silent: three heartbeats."""
    gap_patience: float = Field(default=30.0, ge=0)
    """Seconds for which a missing number may be late: events of different keys overtake each other on the bus."""

    @model_validator(mode="after")
    def _key_is_of_origin(self) -> Self:
        if self.signer().name != self.log_origin:
            raise ValueError("log_key: its name is not log_origin")
        return self

    def signer(self) -> Signer:
        """Return the log's key."""
        try:
            return Signer.parse(self.log_key.get_secret_value())
        except NoteError as error:
            raise ValueError(f"log_key: {error}") from None
