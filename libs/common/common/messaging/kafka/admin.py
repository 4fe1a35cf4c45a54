"""Creating the declared topics, and telling how those that exist differ from what is declared."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from common.messaging.bus import BusUnavailable
from common.messaging.kafka.client import FAILURES, REQUEST_TERM, KafkaSecurity, client_options
from common.messaging.topics import Topic

__all__ = ["BusRefused", "admin_client", "ensure_topics"]


class BusRefused(Exception):  # noqa: N818 - says what it is
    """The brokers answered that we may not do this: no matter of waiting."""


@asynccontextmanager
async def admin_client(bootstrap_servers: str, security: KafkaSecurity | None) -> AsyncIterator[Any]:
    """Give a connected admin client for at most `REQUEST_TERM` seconds. Raises `BusUnavailable`, `BusRefused`."""
    admin = AIOKafkaAdminClient(**client_options(bootstrap_servers, "jobs", security))
    try:
        async with asyncio.timeout(REQUEST_TERM):
            await admin.start()
            yield admin
    except (ClusterAuthorizationFailedError, TopicAuthorizationFailedError) as problem:
        raise BusRefused(type(problem).__name__) from problem
    except FAILURES as problem:
        raise BusUnavailable from problem
    finally:
        await admin.close()


async def ensure_topics(
    bootstrap_servers: str,
    topics: Iterable[Topic],
    *,
    replicas: int = 1,
    security: KafkaSecurity | None = None,
    check: bool = False,
) -> list[str]:
    """Create the `topics` that are not there; return in words how those that are there differ from what is declared.

    Nothing is changed on an existing topic: more partitions would break the order per key, and the rest is the
    operator's to judge. `check` creates nothing either, and tells what is missing. Raises `BusUnavailable`, `BusRefused`.
    """
    wanted = {topic.name: topic for topic in topics}
    async with admin_client(bootstrap_servers, security) as admin:
        missing = []
        if check:
            there = set(await admin.list_topics())
            missing = [f"{name}: missing" for name in wanted if name not in there]
            wanted = {name: topic for name, topic in wanted.items() if name in there}
        else:
            await _create(admin, wanted, replicas)
        if not wanted:
            return missing
        return [*missing, *await _counts(admin, wanted, replicas), *await _drift(admin, wanted, replicas)]


async def _create(admin: Any, wanted: Mapping[str, Topic], replicas: int) -> None:
    new = [
        NewTopic(name, topic.partitions, replicas, topic_configs=_settings(topic, replicas))
        for name, topic in wanted.items()
    ]
    created = await admin.create_topics(new)
    problems = {name: for_code(code) for name, code, *_ in created.topic_errors if code}
    for name, problem in problems.items():
        if problem is not TopicAlreadyExistsError:
            raise problem(name)


def _settings(topic: Topic, replicas: int) -> dict[str, str]:
    common = {"min.insync.replicas": str(max(1, replicas - 1))}
    if topic.retained:
        # Short segments, compacted early: every enforcement point reads the whole topic at each of its starts.
        compact = {"min.cleanable.dirty.ratio": "0.1", "segment.bytes": str(16 << 20), "segment.ms": str(3_600_000)}
        return common | {"cleanup.policy": "compact"} | compact
    kept = int(topic.kept.total_seconds() * 1000) if topic.kept else -1
    return common | {"cleanup.policy": "delete", "retention.ms": str(kept)}


async def _counts(admin: Any, wanted: Mapping[str, Topic], replicas: int) -> list[str]:
    """Wait until every partition has a leader, then compare the numbers of partitions and replicas."""
    while True:
        found = {each["topic"]: each["partitions"] for each in await admin.describe_topics(list(wanted))}
        if all(found[name] and all(each["leader"] >= 0 for each in found[name]) for name in wanted):
            break
        await asyncio.sleep(0.05)
    differences = []
    for name, topic in wanted.items():
        if len(found[name]) != topic.partitions:
            differences.append(f"{name}: {len(found[name])} partitions, not {topic.partitions}")
        if (least := min(len(each["replicas"]) for each in found[name])) != replicas:
            differences.append(f"{name}: {least} replicas, not {replicas}")
    return differences


async def _drift(admin: Any, wanted: Mapping[str, Topic], replicas: int) -> list[str]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in wanted]
    differences = []
    for answer in await admin.describe_configs(resources):
        for _code, _text, _kind, name, entries in answer.resources:
            found = {entry[0]: entry[1] for entry in entries}
            differences += [
                f"{name}: {setting} is {found.get(setting)}, not {value}"
                for setting, value in _settings(wanted[name], replicas).items()
                if found.get(setting) != value
            ]
    return differences
