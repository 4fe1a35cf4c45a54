"""Options, timeouts and lifecycle that all Kafka clients share."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.helpers import create_ssl_context

from common.messaging.bus import Message

REQUEST_TIMEOUT = 10.0
"""Seconds for a request, and for a publication."""
CLOSE_TIMEOUT = 3.0
POLL_TIMEOUT = 0.25
"""Seconds: after each poll a reader confirms its position, and a consumer checks its watchdog."""
MAX_BATCH_MESSAGES = 500
"""Messages of one delivery, and of one batch of a reader: bounds the receiver's transaction."""

CLIENT_ERRORS = (KafkaError, ConsumerStoppedError, OSError, TimeoutError)
"""Exceptions of a client whose brokers are unavailable, or refuse."""

Options = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """SASL credentials; over TLS, or over a trusted network without it."""

    username: str
    password: str = field(repr=False)
    mechanism: str = "SCRAM-SHA-512"
    ca_file: Path | None = None
    """CA certificates that verify the brokers; None: no TLS."""

    def options(self) -> Options:
        """Return the options of an aiokafka client."""
        return {
            "security_protocol": "SASL_SSL" if self.ca_file else "SASL_PLAINTEXT",
            "ssl_context": create_ssl_context(cafile=str(self.ca_file)) if self.ca_file else None,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


def client_options(bootstrap_servers: str, client_id: str, security: KafkaSecurity | None) -> Options:
    """Return the options that every aiokafka client takes."""
    return {
        "bootstrap_servers": bootstrap_servers.split(","),
        "client_id": client_id,
        "request_timeout_ms": int(REQUEST_TIMEOUT * 1000),
        "metadata_max_age_ms": 10_000,  # waiting clients see a recreated topic this soon
        **(security.options() if security else {}),
    }


def message_of(record: Any) -> Message:
    """Return the message that a consumer's record carries."""
    return Message(record.topic, record.key.decode() if record.key else "", record.value)


async def start_client(client: Any, timeout: float) -> None:
    """Start a producer or consumer within `timeout` seconds; close it if that fails. Raises `CLIENT_ERRORS`."""
    starting = asyncio.ensure_future(client.start())
    try:
        async with asyncio.timeout(timeout):
            await asyncio.shield(starting)
    except BaseException:
        # aiokafka leaves the connection open if it is cancelled while it connects: let it fail by itself first.
        try:
            await asyncio.wait([starting], timeout=CLOSE_TIMEOUT)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await stop_client(client)
        raise


async def stop_client(client: Any) -> None:
    """Stop a producer or consumer in bounded time, even if no broker answers."""
    closing = asyncio.ensure_future(client.stop())
    await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)
    if not closing.done() or closing.cancelled() or closing.exception():
        # It still waits for responses, or an interrupted fetch broke it off: without connections nothing is left to do.
        await client._client.close() if hasattr(client, "_client") else await client.client.close()  # noqa: SLF001
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)
    closing.cancel()
    for error in await asyncio.gather(closing, return_exceptions=True):
        if isinstance(error, BaseException):
            _log.warning("a Kafka client did not close cleanly: %s", type(error).__name__)
