"""Apache Kafka's jars, fetched as `jgo.lock.toml` names them; running this file writes that one anew for `WANTED`."""

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

__all__ = ["JARS", "KafkaUnavailable", "WrongDigest", "jars"]

WANTED = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LOCK = Path(__file__).with_name("jgo.lock.toml")
JARS = Path(__file__).resolve().parents[2] / ".data" / "kafka" / "jars"

_log = logging.getLogger(__name__)


class KafkaUnavailable(Exception):  # noqa: N818 - a state of the world, as `BusUnavailable` is
    """No Kafka can be had here: the jars are not cached and cannot be fetched."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"no Apache Kafka: {reason}")
        self.reason = reason


class WrongDigest(Exception):  # noqa: N818 - says what it is
    """A jar that was fetched is not the one that the lock file names."""


def jars(cache: Path = JARS) -> list[Path]:
    """Return the jars of the lock file, each with its SHA-256 checked, fetching what `cache` lacks.

    Raises `KafkaUnavailable` when one cannot be fetched and `WrongDigest` when one is not what was locked.
    """
    locked: list[dict[str, Any]] = tomllib.loads(LOCK.read_text())["dependencies"]
    cache.mkdir(parents=True, exist_ok=True)
    context = MavenContext(repo_cache=cache, local_repos=[])
    with _alone(cache / ".lock"), ThreadPoolExecutor(6) as pool:
        return list(pool.map(lambda jar: _jar(context, jar), locked))


def _jar(context: MavenContext, locked: Mapping[str, Any]) -> Path:
    component = context.project(locked["groupId"], locked["artifactId"]).at_version(locked["version"])
    artifact = component.artifact(classifier=locked.get("classifier", ""))
    for attempt in ("cached or fetched", "fetched again"):
        try:
            path: Path = artifact.resolve()
        except (OSError, RuntimeError) as problem:  # what the network raises is an OSError, too
            if artifact.cached_path is not None:
                artifact.cached_path.unlink(missing_ok=True)
            reason = f"{locked['artifactId']} could not be fetched ({type(problem).__name__})"
            raise KafkaUnavailable(reason) from problem
        if hashlib.sha256(path.read_bytes()).hexdigest() == locked["sha256"]:
            return path
        _log.warning("%s, %s, has a wrong digest", path.name, attempt)
        path.unlink()  # a fetch that was cut off leaves such a file, once
    raise WrongDigest(locked["artifactId"])


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the file lock: two runs that start together fetch once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write_lock() -> None:
    context = MavenContext(repo_cache=JARS, local_repos=[])
    wanted = [context.create_dependency(replace(Coordinate.parse(each), scope="compile")) for each in WANTED]
    inputs, transitive = context.resolver.resolve(wanted)
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    LockFile.from_resolved_dependencies(needed, environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    _write_lock()
