"""Who may do what on the brokers: derived from the declaration of the topics, put there, and held against what is there.

The owner of a topic writes it, its readers read it, a member that receives in a group reads that group's offsets, and
nothing else is allowed to anybody. To write or read includes to describe. The operator sees everything there is to
describe, reads the feed and the receipts, and changes nothing: not even passwords, since who may set those may be
anybody. What changes is done by `admin`, the super user, whose password only the jobs have.
"""

import asyncio
from collections.abc import Iterable
from enum import IntEnum
from typing import Any, NamedTuple

from aiokafka.errors import for_code
from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request

from common.contracts.services import SERVICES
from common.contracts.topics import OPERATOR, PRINCIPALS
from common.messaging.kafka.admin import admin_client
from common.messaging.kafka.client import KafkaSecurity
from common.messaging.topics import Topic

__all__ = ["AclBinding", "Kind", "Operation", "ensure_acls", "rights"]

ANY = 1
LITERAL = 3
ALLOW = 3
OURS = frozenset(f"User:{name}" for name in (*PRINCIPALS, "*"))
"""Whose rights are exactly what is declared: no one else's word counts, not for everybody either."""


class Kind(IntEnum):
    """What a right is about, by Kafka's numbers."""

    TOPIC = 2
    GROUP = 3
    CLUSTER = 4


class Operation(IntEnum):
    """What a right allows, by Kafka's numbers."""

    READ = 3
    WRITE = 4
    DESCRIBE = 8
    DESCRIBE_CONFIGS = 10


class AclBinding(NamedTuple):
    """One entry of the brokers' list; the fields in the order and by the numbers of Kafka's protocol."""

    kind: int
    name: str
    pattern: int
    principal: str
    host: str
    operation: int
    permission: int

    def __str__(self) -> str:
        """Return it in words."""
        kinds, operations = {each.value: each.name for each in Kind}, {each.value: each.name for each in Operation}
        pattern = "" if self.pattern == LITERAL else f", pattern type {self.pattern}"
        allowed = "may" if self.permission == ALLOW else "may not"
        kind, operation = kinds.get(self.kind, self.kind), operations.get(self.operation, self.operation)
        return f"{self.principal} at {self.host} {allowed} {operation} {kind} {self.name}{pattern}"


def _allow(principal: str, operation: Operation, kind: Kind, name: str) -> AclBinding:
    return AclBinding(kind, name, LITERAL, f"User:{principal}", "*", operation, ALLOW)


def rights(topics: Iterable[Topic]) -> set[AclBinding]:
    """Return every right that somebody has."""
    given = {_allow(OPERATOR, Operation.DESCRIBE, Kind.CLUSTER, "kafka-cluster")}
    for topic in topics:
        given.add(_allow(topic.owner, Operation.WRITE, Kind.TOPIC, topic.name))
        given |= {_allow(reader, Operation.READ, Kind.TOPIC, topic.name) for reader in topic.readers}
        given.add(_allow(OPERATOR, Operation.DESCRIBE, Kind.TOPIC, topic.name))
        given.add(_allow(OPERATOR, Operation.DESCRIBE_CONFIGS, Kind.TOPIC, topic.name))
    for group in SERVICES:
        given.add(_allow(group, Operation.READ, Kind.GROUP, group))
        given.add(_allow(OPERATOR, Operation.DESCRIBE, Kind.GROUP, group))
    return given


async def ensure_acls(
    bootstrap_servers: str, topics: Iterable[Topic], *, security: KafkaSecurity | None = None, check: bool = False
) -> list[str]:
    """Give the rights that are missing and take those that nobody declared; return in words what was found wrong.

    Missing rights are told only by `check`, which changes nothing. Rights of principals that are none of ours are told and
    left: somebody gave them for something that we do not know. Raises `BusUnavailable`, `BusRefused`.
    """
    wanted = rights(topics)
    async with admin_client(bootstrap_servers, security) as admin:
        found = await _found(admin)
        missing, too_many = wanted - found, {right for right in found - wanted if right.principal in OURS}
        foreign = {right for right in found if right.principal not in OURS}
        if not check:
            await _change(admin, missing, too_many)
    told = [f"missing: {right}" for right in missing] if check else []
    told += [f"{'too much' if check else 'taken'}: {right}" for right in too_many]
    return sorted([*told, *(f"foreign: {right}" for right in foreign)])


class _CreateAll(Request[CreateAclsRequest_v1]):  # type: ignore[misc]  # aiokafka is untyped, and its own creates one
    API_KEY = 30

    def __init__(self, rights: Iterable[AclBinding]) -> None:
        self._rights = list(rights)

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._rights)


class _DeleteAll(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    API_KEY = 31

    def __init__(self, rights: Iterable[AclBinding]) -> None:
        self._rights = list(rights)

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> DeleteAclsRequest_v1:
        return request_struct_class(self._rights)


async def _change(admin: Any, missing: set[AclBinding], too_many: set[AclBinding]) -> None:
    """Return when the broker that is asked has it all: the list travels between brokers by itself."""
    if missing:
        created = await admin._send_request(_CreateAll(missing))  # noqa: SLF001 - it has no method for these
        _require_done(created.creation_responses)
    if too_many:
        deleted = await admin._send_request(_DeleteAll(too_many))  # noqa: SLF001
        _require_done(deleted.filter_responses)
    while (found := await _found(admin)) & too_many or missing - found:
        await asyncio.sleep(0.02)


async def _found(admin: Any) -> set[AclBinding]:
    answer = await admin._send_request(DescribeAclsRequest(ANY, None, ANY, None, None, ANY, ANY))  # noqa: SLF001
    _require_done([(answer.error_code,)])
    return {
        AclBinding(kind, name, pattern, principal, host, operation, permission)
        for kind, name, pattern, entries in answer.resources
        for principal, host, operation, permission in entries
    }


def _require_done(answers: Iterable[Any]) -> None:
    for code, *_ in answers:
        if code:
            raise for_code(code)
