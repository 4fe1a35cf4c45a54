"""What all clients of Kafka have in common: where, who, how long, and how to be rid of one."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.helpers import create_ssl_context

from common.messaging.bus import Message

__all__ = ["CHUNK", "FAILURES", "POLL", "REQUEST_TERM"]
__all__ += ["Arguments", "KafkaSecurity", "client_options", "message_of", "start_client", "stop_client"]

REQUEST_TERM = 10.0
"""Seconds after which a request is given up, and a publication refused."""
CLOSE_TERM = 3.0
POLL = 0.25
"""Seconds that a poll waits: so often a follower confirms and a subscription looks at its watchdog."""
CHUNK = 500
"""Most messages in one delivery and in one batch of a follower: bounds the receiver's transaction."""

FAILURES = (KafkaError, ConsumerStoppedError, OSError, TimeoutError)
"""What a client raises when the brokers cannot be had, or refuse."""

Arguments = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """How to prove who we are: SASL over TLS, or over a network that is trusted."""

    username: str
    password: str = field(repr=False)
    mechanism: str = "SCRAM-SHA-512"
    ca_file: Path | None = None
    """The authority that signed the brokers' certificates; None speaks without TLS."""

    def arguments(self) -> Arguments:
        """Return it in the words of aiokafka's clients."""
        return {
            "security_protocol": "SASL_SSL" if self.ca_file else "SASL_PLAINTEXT",
            "ssl_context": create_ssl_context(cafile=str(self.ca_file)) if self.ca_file else None,
            "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username,
            "sasl_plain_password": self.password,
        }


def client_options(bootstrap_servers: str, client_id: str, security: KafkaSecurity | None) -> Arguments:
    """Return the arguments that every aiokafka client takes."""
    return {
        "bootstrap_servers": bootstrap_servers.split(","),
        "client_id": client_id,
        "request_timeout_ms": int(REQUEST_TERM * 1000),
        "metadata_max_age_ms": 10_000,  # so soon a topic that was made anew is seen by those that wait for it
        **(security.arguments() if security else {}),
    }


def message_of(record: Any) -> Message:
    """Return the message that a consumer's record carries."""
    return Message(record.topic, record.key.decode() if record.key else "", record.value)


async def start_client(client: Any, term: float) -> None:
    """Start a producer or consumer within `term` seconds; one that could not be started is ended. Raises `FAILURES`."""
    starting = asyncio.ensure_future(client.start())
    try:
        async with asyncio.timeout(term):
            await asyncio.shield(starting)
    except BaseException:
        # Cancelled while it connects, aiokafka would leave the connection open: it gets a moment to fail by itself.
        try:
            await asyncio.wait([starting], timeout=CLOSE_TERM)
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            await stop_client(client)
        raise


async def stop_client(client: Any) -> None:
    """Stop a producer or consumer in bounded time, also when no broker answers its goodbye."""
    closing = asyncio.ensure_future(client.stop())
    await asyncio.wait([closing], timeout=CLOSE_TERM)
    if not closing.done() or closing.cancelled() or closing.exception():
        # It waits for answers, or an interrupted fetch has cut it short: without connections nothing is left to do.
        await client._client.close() if hasattr(client, "_client") else await client.client.close()  # noqa: SLF001
        await asyncio.wait([closing], timeout=CLOSE_TERM)
    closing.cancel()
    for problem in await asyncio.gather(closing, return_exceptions=True):
        if isinstance(problem, BaseException):
            _log.warning("a Kafka client did not close in order: %s", type(problem).__name__)
