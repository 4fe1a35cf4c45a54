"""Fetches Apache Kafka's jars by `jgo.lock.toml`; `python -m deploy.kafka_jars` resolves `REQUIREMENTS` into that file."""

import contextlib
import fcntl
import hashlib
import logging
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from jgo.env import LockFile
from jgo.maven import MavenContext
from jgo.parse import Coordinate

REQUIREMENTS = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LOCK = Path(__file__).with_name("jgo.lock.toml")
JARS = Path(__file__).resolve().parents[2] / ".data" / "kafka" / "jars"

_log = logging.getLogger(__name__)


class KafkaUnavailableError(Exception):
    """The jars are neither cached nor can they be fetched."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no Apache Kafka: {reason}")
        self.reason = reason


class DigestError(Exception):
    """The digest of a fetched jar is not the one in the lock file."""


def jars(cache: Path = JARS) -> list[Path]:
    """Return the jars of the lock file with verified SHA-256 digests; fetch those that are not in `cache`.

    Raises `KafkaUnavailableError`, `DigestError`.
    """
    locked: list[dict[str, Any]] = tomllib.loads(LOCK.read_text())["dependencies"]
    cache.mkdir(parents=True, exist_ok=True)
    context = MavenContext(repo_cache=cache, local_repos=[])
    with _locked(cache / ".lock"), ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda jar: _jar(context, jar), locked))


def _jar(context: MavenContext, locked: Mapping[str, Any]) -> Path:
    component = context.project(locked["groupId"], locked["artifactId"]).at_version(locked["version"])
    artifact = component.artifact(classifier=locked.get("classifier", ""))
    for attempt in ("cached or fetched", "fetched again"):
        try:
            path: Path = artifact.resolve()
        except (OSError, RuntimeError) as error:  # network errors are OSErrors
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
            reason = f"{locked['artifactId']} could not be fetched ({type(error).__name__})"
            raise KafkaUnavailableError(reason) from error
        if hashlib.sha256(path.read_bytes()).hexdigest() == locked["sha256"]:
            return path
        _log.warning("%s, %s, has a wrong digest", path.name, attempt)
        path.unlink()  # an interrupted fetch may leave such a file
    raise DigestError(locked["artifactId"])


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a file lock, so that concurrent runs fetch once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_lock() -> None:
    context = MavenContext(repo_cache=JARS, local_repos=[])
    requirements = [
        context.create_dependency(replace(Coordinate.parse(each), scope="compile")) for each in REQUIREMENTS
    ]
    inputs, transitive = context.resolver.resolve(requirements)
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    LockFile.from_resolved_dependencies(needed, environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    _write_lock()
