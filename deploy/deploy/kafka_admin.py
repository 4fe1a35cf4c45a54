"""Administers the brokers: topics, ACLs and passwords, created from their declaration and checked against it.

The owner of a topic may write it, its readers may read it, each service may use the consumer group of its name, and nothing
else is allowed. Read and write imply describe. The operator may describe everything, and changes nothing, not even
passwords: a principal that sets passwords can become any other. Changes are made by the super user `admin`.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from typing import Any, NoReturn, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from common.contracts.services import SERVICES
from common.contracts.topics import OPERATOR, PRINCIPALS
from common.messaging.bus import BusUnavailable
from common.messaging.kafka import KafkaSecurity
from common.messaging.topics import Topic
from deploy.kafka_config import SCRAM_ITERATIONS

K = TypeVar("K")
T = TypeVar("T")

REQUEST_TIMEOUT = 10.0
"""Seconds."""
POLL_INTERVAL = 0.05
"""Seconds between requests for a change that travels between brokers."""

MANAGED_PRINCIPALS = frozenset(f"User:{name}" for name in (*PRINCIPALS, "*"))
"""Principals whose ACLs we manage, including the wildcard: undeclared ACLs on them are deleted."""

EVERY_ACL = AclBindingFilter(
    ResourceType.ANY, None, ResourcePatternType.ANY, None, None, AclOperation.ANY, AclPermissionType.ANY
)

REFUSALS = frozenset(
    {
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


class KafkaRefusedError(Exception):
    """The brokers refused a request for lack of rights: waiting does not help."""


def acl(
    principal: str,
    operation: AclOperation,
    kind: ResourceType,
    name: str,
    pattern: ResourcePatternType = ResourcePatternType.LITERAL,
) -> AclBinding:
    """Return the binding that allows `operation` to `principal` from every host."""
    return AclBinding(kind, name, pattern, f"User:{principal}", "*", operation, AclPermissionType.ALLOW)


def acl_text(binding: AclBinding) -> str:
    """Return a binding on one line."""
    kind = "CLUSTER" if binding.restype == ResourceType.BROKER else binding.restype.name  # librdkafka's word for it
    literal = binding.resource_pattern_type == ResourcePatternType.LITERAL
    pattern = "" if literal else f" ({binding.resource_pattern_type.name})"
    permission, operation = binding.permission_type.name, binding.operation.name
    return f"{binding.principal}@{binding.host} {permission} {operation} {kind} {binding.name}{pattern}"


def declared_acls(topics: Iterable[Topic]) -> set[AclBinding]:
    """Return every ACL that follows from the declaration of `topics`."""
    acls = {acl(OPERATOR, AclOperation.DESCRIBE, ResourceType.BROKER, "kafka-cluster")}
    for topic in topics:
        acls.add(acl(topic.owner, AclOperation.WRITE, ResourceType.TOPIC, topic.name))
        acls |= {acl(reader, AclOperation.READ, ResourceType.TOPIC, topic.name) for reader in topic.readers}
        acls.add(acl(OPERATOR, AclOperation.DESCRIBE, ResourceType.TOPIC, topic.name))
        acls.add(acl(OPERATOR, AclOperation.DESCRIBE_CONFIGS, ResourceType.TOPIC, topic.name))
    for group in SERVICES:
        acls.add(acl(group, AclOperation.READ, ResourceType.GROUP, group))
        acls.add(acl(OPERATOR, AclOperation.DESCRIBE, ResourceType.GROUP, group))
    return acls


class KafkaAdmin:
    """A client of the brokers at `bootstrap_servers`; blocks. Every method raises `BusUnavailable`, `KafkaRefusedError`."""

    def __init__(self, bootstrap_servers: str, security: KafkaSecurity | None = None) -> None:
        options: dict[str, Any] = {
            "bootstrap.servers": bootstrap_servers,
            "client.id": "setup",
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,  # errors are raised
            "error_cb": self._note_error,
        }
        if security:
            options |= {
                "security.protocol": "SASL_SSL" if security.ca_file else "SASL_PLAINTEXT",
                "sasl.mechanism": security.mechanism,
                "sasl.username": security.username,
                "sasl.password": security.password,
            }
            if security.ca_file:
                options["ssl.ca.location"] = str(security.ca_file)
        self._connection_error = ""
        self._client = AdminClient(options)

    def _note_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - that is how the client names its own errors
            self._connection_error = error.str()

    def set_passwords(self, passwords: Mapping[str, str]) -> None:
        """Set the password of each principal. Open connections stay; new ones need the new password."""
        info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, SCRAM_ITERATIONS)
        changes = [UserScramCredentialUpsertion(name, info, word.encode()) for name, word in passwords.items()]
        self._wait_all(self._client.alter_user_scram_credentials(changes, request_timeout=REQUEST_TIMEOUT))

    def ensure_topics(self, topics: Iterable[Topic], *, replicas: int = 1, check: bool = False) -> list[str]:
        """Create missing topics; return in words how existing ones differ from their declaration.

        Existing topics stay as they are: more partitions would break the order per key, and operators judge the rest.
        `check` creates nothing and reports missing topics.
        """
        declared = {topic.name: topic for topic in topics}
        missing: list[str] = []
        if check:
            found = self._call(lambda: self._client.list_topics(timeout=REQUEST_TIMEOUT)).topics
            missing = [f"{name}: missing" for name in declared if name not in found]
            declared = {name: topic for name, topic in declared.items() if name in found}
        else:
            self._create(declared, replicas)
        return [*missing, *self._layout_drift(declared, replicas), *self._config_drift(declared, replicas)]

    def _create(self, declared: Mapping[str, Topic], replicas: int) -> None:
        new = [
            NewTopic(name, topic.partitions, replicas, config=_config(topic, replicas))
            for name, topic in declared.items()
        ]
        for future in self._client.create_topics(new, request_timeout=REQUEST_TIMEOUT).values():
            try:
                future.result()
            except KafkaException as error:
                if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    self._refuse(error)

    def _layout_drift(self, declared: Mapping[str, Topic], replicas: int) -> list[str]:
        """Wait until every partition has a leader, then compare the numbers of partitions and replicas."""
        deadline = time.monotonic() + REQUEST_TIMEOUT
        while True:
            topics = self._call(lambda: self._client.list_topics(timeout=REQUEST_TIMEOUT)).topics
            found = {name: list(topics[name].partitions.values()) for name in declared if name in topics}
            if all(found.get(name) and all(each.leader >= 0 for each in found[name]) for name in declared):
                break
            if time.monotonic() > deadline:
                raise BusUnavailable
            time.sleep(POLL_INTERVAL)
        differences = []
        for name, topic in declared.items():
            if len(found[name]) != topic.partitions:
                differences.append(f"{name}: {len(found[name])} partitions, not {topic.partitions}")
            if (least := min(len(each.replicas) for each in found[name])) != replicas:
                differences.append(f"{name}: {least} replicas, not {replicas}")
        return differences

    def _config_drift(self, declared: Mapping[str, Topic], replicas: int) -> list[str]:
        if not declared:
            return []
        resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in declared]
        answers = self._wait_all(self._client.describe_configs(resources, request_timeout=REQUEST_TIMEOUT))
        found = {
            resource.name: {name: each.value for name, each in config.items()} for resource, config in answers.items()
        }
        return [
            f"{name}: {setting} is {found[name].get(setting)}, not {value}"
            for name, topic in declared.items()
            for setting, value in _config(topic, replicas).items()
            if found[name].get(setting) != value
        ]

    def ensure_acls(self, topics: Iterable[Topic], *, check: bool = False) -> list[str]:
        """Create missing ACLs and delete undeclared ones on managed principals; return the differences in words.

        ACLs on other principals are reported and kept. `check` changes nothing and reports missing ACLs too.
        """
        declared, found = declared_acls(topics), self.acls()
        missing = declared - found
        undeclared = {each for each in found - declared if each.principal in MANAGED_PRINCIPALS}
        foreign = {each for each in found if each.principal not in MANAGED_PRINCIPALS}
        if not check:
            self.change_acls(missing, undeclared)
        report = [f"missing: {acl_text(each)}" for each in missing] if check else []
        report += [f"{'undeclared' if check else 'deleted'}: {acl_text(each)}" for each in undeclared]
        return sorted([*report, *(f"foreign: {acl_text(each)}" for each in foreign)])

    def acls(self) -> set[AclBinding]:
        """Return all ACLs of the brokers."""
        return set(self._call(self._client.describe_acls(EVERY_ACL, request_timeout=REQUEST_TIMEOUT).result))

    def change_acls(self, created: Iterable[AclBinding] = (), deleted: Iterable[AclBinding] = ()) -> None:
        """Create and delete ACLs, and wait until a broker that is asked knows it."""
        new, old = set(created), set(deleted)
        if new:
            self._wait_all(self._client.create_acls(list(new), request_timeout=REQUEST_TIMEOUT))
        if old:
            filters = [
                AclBindingFilter(
                    each.restype,
                    each.name,
                    each.resource_pattern_type,
                    each.principal,
                    each.host,
                    each.operation,
                    each.permission_type,
                )
                for each in old
            ]
            self._wait_all(self._client.delete_acls(filters, request_timeout=REQUEST_TIMEOUT))
        deadline = time.monotonic() + REQUEST_TIMEOUT
        while (found := self.acls()) & old or new - found:
            if time.monotonic() > deadline:
                raise BusUnavailable
            time.sleep(POLL_INTERVAL)

    def _wait_all(self, futures: Mapping[K, Future[T]]) -> dict[K, T]:
        return {key: self._call(future.result) for key, future in futures.items()}

    def _call(self, request: Callable[[], T]) -> T:
        try:
            return request()
        except KafkaException as error:
            self._refuse(error)

    def _refuse(self, error: KafkaException) -> NoReturn:
        if _code(error) in REFUSALS:
            raise KafkaRefusedError(error.args[0].name()) from error
        self._client.poll(0)  # calls `_note_error`
        raise BusUnavailable from ConnectionError(self._connection_error or error.args[0].str())


def _code(error: KafkaException) -> int:
    return int(error.args[0].code())


def _config(topic: Topic, replicas: int) -> dict[str, str]:
    common = {"min.insync.replicas": str(max(1, replicas - 1))}
    if topic.retained:
        # Short segments, compacted early: every enforcement point reads the whole topic at each of its starts.
        compact = {"min.cleanable.dirty.ratio": "0.1", "segment.bytes": str(16 << 20), "segment.ms": str(3_600_000)}
        return common | {"cleanup.policy": "compact"} | compact
    retention = int(topic.kept.total_seconds() * 1000) if topic.kept else -1
    return common | {"cleanup.policy": "delete", "retention.ms": str(retention)}
