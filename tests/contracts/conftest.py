"""The broker of the Kafka tests, and the ground of the contract tests for each implementation of the bus."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.kafka_broker import KafkaBroker
from deploy.kafka_jars import KafkaUnavailableError
from tests.contracts.harness import Ground, ground
from tests.harness.databases import Databases

MISSING = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[KafkaBroker]:
    broker = KafkaBroker(tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
    except KafkaUnavailableError as problem:
        if os.environ.get("CI") == "true":
            raise
        pytestconfig.stash[MISSING] = str(problem)
        pytest.skip(str(problem))
    try:
        yield broker
    finally:
        broker.stop()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if reason := config.stash.get(MISSING, None):
        terminalreporter.write_line(f"Kafka tests skipped: {reason}", yellow=True)


@pytest.fixture(params=["in_process", pytest.param("kafka", marks=pytest.mark.kafka)])
async def ground_of(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    broker = request.getfixturevalue("kafka_broker") if request.param == "kafka" else None
    async with ground(tmp_path, broker) as made:
        yield made


@pytest.fixture(scope="session")
async def with_toy(databases: Databases) -> Databases:
    """The cluster, with a database of the toy."""
    await databases.add("toy", "tests.services.common.toy")
    return databases
