"""Audit's settings from the environment."""

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from audit.tlog.signed_notes import NoteError, Signer
from common.settings import ServiceSettings

__all__ = ["Settings"]


class Settings(ServiceSettings):
    """`XINDUN_AUDIT_…`. The log's signing key lives here, outside the database, so that its owner cannot re-sign a log."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_AUDIT_", extra="ignore", hide_input_in_errors=True)

    log_key: SecretStr
    """`PRIVATE+KEY+<name>+<hash>+<seed>`, as `audit.tlog.signed_notes.generate_signer` makes it; its name is the origin."""
    log_origin: str
    """The log's name, for good: it stands in every checkpoint."""
    evidence_most_records: int = Field(default=10_000, ge=1)
    evidence_most_bytes: int = Field(default=64 << 20, ge=1)
    """Of the records of one evidence package."""
    silence_term: float = Field(default=30.0, gt=0)
    """Seconds without a sign of a producer after which it counts as silent: three heartbeats."""
    gap_patience: float = Field(default=30.0, ge=0)
    """Seconds that a missing number may be late, because events of different keys overtake each other on the bus."""

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
