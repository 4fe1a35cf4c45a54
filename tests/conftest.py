"""Fixtures that every suite may use, and the marks of the regulation's clauses."""

import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import structlog

from common.log_config import without_messages
from common.web.exception_handlers import UNDECLARED
from tests.harness.databases import Databases, ServiceDatabase


class _Captured:
    """Where logs go in tests: to what pytest captures at the moment of writing."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


structlog.configure(
    processors=[structlog.stdlib.add_log_level, without_messages, structlog.processors.JSONRenderer(default=str)],
    logger_factory=structlog.WriteLoggerFactory(_Captured()),
    cache_logger_on_first_use=False,
)

FreshDatabase = Callable[[str], Awaitable[ServiceDatabase]]


def _undeclared_problems() -> dict[tuple[str, str], float]:
    (family,) = UNDECLARED.collect()
    return {
        (sample.labels["operation"], sample.labels["problem"]): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


@pytest.fixture(autouse=True)
def every_problem_is_declared():
    """Every operation declares the problems that it answers: an undeclared one fails the test that met it."""
    before = _undeclared_problems()
    yield
    assert {key for key, count in _undeclared_problems().items() if count > before.get(key, 0)} == set()


@pytest.fixture(scope="session")
async def databases() -> AsyncIterator[Databases]:
    # Not below pytest's own directory: another run closes that to the account under which root's server runs.
    with tempfile.TemporaryDirectory(prefix="xindun-tests-", ignore_cleanup_errors=True) as directory:
        running = await Databases.start(Path(directory))
        try:
            yield running
        finally:
            running.stop()


@pytest.fixture
async def fresh_database(databases: Databases) -> AsyncIterator[FreshDatabase]:
    """A function that gives a new database of a service; it is dropped after the test."""
    copies: list[ServiceDatabase] = []

    async def fresh(service: str) -> ServiceDatabase:
        copies.append(await databases.copy(service))
        return copies[-1]

    yield fresh
    await databases.drop(copies)
