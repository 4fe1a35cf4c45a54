"""The configuration of one Kafka node: listeners, authentication, authorization, limits for a small machine."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SCRAM_ITERATIONS = 8192
"""As in Kafka's own tools: the passwords are random, so that guessing is hopeless at any number."""

MAX_BATCH_BYTES = (1 << 20) + 12
"""Bytes of a batch that the broker accepts: a little over the largest batch of `KafkaBus`."""

SMALL_NODE = {
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    # After kill -9 the controller accepts the node only when its former session has expired: 9 s by default.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # The default of 128 MiB would be a third of the heap.
    "log.cleaner.dedupe.buffer.size": str(4 << 20),
    "log.cleaner.backoff.ms": "500",
    "num.network.threads": "2",
    "num.io.threads": "4",
}


@dataclass(frozen=True)
class BrokerSecurity:
    """Authentication of clients by SCRAM, over TLS if there is a certificate, and of nodes by a shared secret.

    `passwords` holds every client principal that the node knows from its format on; `admin` is the super user.
    """

    cluster_secret: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    certificate: Path | None = None
    key: Path | None = None
    """PEM; the key in PKCS #8, without a password."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,}", self.cluster_secret):
            raise ValueError("cluster_secret: 16 or more letters, digits, dashes")  # it is inserted into a quoted line
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")


def server_properties(directory: Path, data: Path, port: int, security: BrokerSecurity | None) -> dict[str, str]:
    """Return `server.properties` of a single node: clients connect at `port`, the node itself at the next two ports."""
    clients, internal, controller = (f"127.0.0.1:{port + offset}" for offset in range(3))
    common = SMALL_NODE | {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"CLIENTS://{clients},INTERNAL://{internal},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://{clients},INTERNAL://{internal}",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MAX_BATCH_BYTES),
        "socket.request.max.bytes": str(8 << 20),
    }
    if security is None:
        protocols = "CLIENTS:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT"
        return common | {"listener.security.protocol.map": protocols}
    return common | _security_properties(directory, security)


def _security_properties(directory: Path, security: BrokerSecurity) -> dict[str, str]:
    clients = "SASL_SSL" if security.certificate else "SASL_PLAINTEXT"
    secret = security.cluster_secret
    plain = (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        f'username="controller" password="{secret}" user_controller="{secret}";'
    )
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    tls = {
        "listener.name.clients.ssl.keystore.type": "PEM",
        "listener.name.clients.ssl.keystore.location": str(directory / "keystore.pem"),
    }
    return {
        "listener.security.protocol.map": f"CLIENTS:{clients},INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "listener.name.clients.sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": scram,
        "listener.name.internal.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.internal.plain.sasl.jaas.config": plain,
        "listener.name.controller.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.controller.plain.sasl.jaas.config": plain,
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": "User:admin;User:controller",
    } | (tls if security.certificate else {})
