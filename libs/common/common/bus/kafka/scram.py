"""SCRAM-SHA-512 credentials as the brokers keep them: from a password, without ever sending it."""

import hashlib
import secrets
from dataclasses import dataclass, field

__all__ = ["ITERATIONS", "MECHANISM", "ScramCredential"]

MECHANISM = "SCRAM-SHA-512"
ITERATIONS = 8192
"""What Kafka's own tools use; the passwords are random and long, so that guessing is hopeless at any number."""


@dataclass(frozen=True, slots=True)
class ScramCredential:
    """What a broker keeps of a password (RFC 5802): it can be checked with it, and the password not be told from it."""

    salt: bytes
    salted_password: bytes = field(repr=False)
    iterations: int = ITERATIONS

    @classmethod
    def of(cls, password: str) -> "ScramCredential":
        """Return a credential with a fresh salt."""
        salt = secrets.token_bytes(32)
        return cls(salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS))
