"""SCRAM-SHA-512 credentials: from a password to what the brokers keep of it, and how they get it without any Java."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

from common.messaging.kafka.admin import admin_client
from common.messaging.kafka.client import KafkaSecurity

__all__ = ["ITERATIONS", "MECHANISM", "ScramCredential", "set_passwords"]

MECHANISM = "SCRAM-SHA-512"
MECHANISM_NUMBER = 2
ITERATIONS = 8192
"""What Kafka's own tools use; the passwords are random and long, so that guessing is hopeless at any number."""


@dataclass(frozen=True, slots=True)
class ScramCredential:
    """What a broker is given of a password (RFC 5802).

    The password cannot be told from it, but who has it can log in: over a network that is not trusted it needs TLS.
    """

    salt: bytes
    salted_password: bytes = field(repr=False)
    iterations: int = ITERATIONS

    @classmethod
    def of(cls, password: str) -> "ScramCredential":
        """Return a credential with a fresh salt."""
        salt = secrets.token_bytes(32)
        return cls(salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS))


class AlterUserScramCredentialsResponse(Response):  # type: ignore[misc]  # aiokafka is untyped
    """Kafka's API 51."""

    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString("utf-8")),
                ("error_code", Int16),
                ("error_message", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterUserScramCredentialsRequestV0(RequestStruct):  # type: ignore[misc]
    """As it goes over the wire."""

    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = AlterUserScramCredentialsResponse
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString("utf-8")), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class AlterUserScramCredentialsRequest(Request[AlterUserScramCredentialsRequestV0]):  # type: ignore[misc]
    """Sets credentials, one for each principal."""

    API_KEY = 51

    def __init__(self, credentials: Mapping[str, ScramCredential]) -> None:
        self._credentials = credentials

    def build(
        self, request_struct_class: type[AlterUserScramCredentialsRequestV0]
    ) -> AlterUserScramCredentialsRequestV0:
        """Return the request of the version that the broker speaks."""
        upsertions: list[Any] = [
            (name, MECHANISM_NUMBER, each.iterations, each.salt, each.salted_password, {})
            for name, each in self._credentials.items()
        ]
        return request_struct_class([], upsertions, {})


async def set_passwords(
    bootstrap_servers: str, passwords: Mapping[str, str], *, security: KafkaSecurity | None = None
) -> Sequence[str]:
    """Give each principal its password, the one it has or a new one, and return the principals.

    Who is connected stays connected; who connects from now on needs the new one. Raises `BusUnavailable`, `BusRefused`.
    """
    request = AlterUserScramCredentialsRequest({name: ScramCredential.of(word) for name, word in passwords.items()})
    async with admin_client(bootstrap_servers, security) as admin:
        answer = await admin._send_request(request)  # noqa: SLF001 - aiokafka has no method for it
        for _, code, *_ in answer.results:
            if code:
                raise for_code(code)
    return sorted(passwords)
