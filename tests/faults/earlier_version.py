"""An earlier version of the platform: its code from the history, in its own virtual environment, on a data directory."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx
import pytest

from deploy.kafka_jars import JARS, jars
from tests.harness.embedded_platform import ROOT

COMMIT = "8582470429f487d99f7c144f30fa4ed28c6f5673"
"""The oldest version whose data this one takes over."""
READY_TIMEOUT = 600.0
STOP_TIMEOUT = 120.0
POLL_INTERVAL = 0.2


@dataclass(frozen=True)
class RunningVersion:
    """A running platform. `administrators` is the file with its first administrators."""

    url: str
    administrators: Path


class EarlierVersion:
    """The code of `COMMIT` in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def extract(cls, root: Path) -> Self:
        """Take the code from the history and set it up by its own Makefile. Skips the test where the history lacks it."""
        command = ["git", "archive", "--format=tar", COMMIT]
        archive = subprocess.run(command, cwd=ROOT, capture_output=True, check=False) if shutil.which("git") else None
        if archive is None or archive.returncode:
            pytest.skip(f"the history of this checkout does not hold commit {COMMIT}")
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(root, filter="data")
        uv = ROOT / ".tools" / "bin" / "uv"
        settings = [f"PYTHON={sys.executable}", *([f"UV={uv}"] if uv.exists() else [])]
        subprocess.run(["make", "setup", *settings], cwd=root, check=True)
        return cls(root)

    @property
    def interpreter(self) -> str:
        return str(self.root / ".venv" / "bin" / "python")

    def share_jars(self) -> None:
        """Use the Kafka that this checkout has downloaded."""
        jars()
        own = self.root / ".data" / "kafka" / "jars"
        if not own.exists():
            own.parent.mkdir(parents=True)
            own.symlink_to(JARS)

    def run(self, *words: str, **variables: str) -> str:
        """Run `python -m` and return its output. Raises `RuntimeError` with all output."""
        command = [self.interpreter, "-m", *words]
        environment = os.environ | {"PYTHONUTF8": "1"} | variables
        done = subprocess.run(
            command, cwd=self.root, env=environment, capture_output=True, encoding="utf-8", check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    @contextlib.contextmanager
    def running(self, module: str, data: Path, port: int) -> Iterator[RunningVersion]:
        """Run `module` on `data` with first administrators, and stop it in order."""
        data.mkdir(parents=True, exist_ok=True)
        url, log = f"http://127.0.0.1:{port}", data / "earlier-version.log"
        command = [self.interpreter, "-m", module, "--data", str(data), "--port", str(port)]
        with log.open("wb") as output:
            process = subprocess.Popen(command, cwd=self.root, stdout=output, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + READY_TIMEOUT
            while not is_ready(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the earlier version is not ready: {log.read_text()[-2000:]}")
                time.sleep(POLL_INTERVAL)
            administrators = data / "administrators.json"
            administrators.write_text(self.run("deploy.administrators", "--data", str(data)), encoding="utf-8")
            yield RunningVersion(url, administrators)
        finally:
            process.terminate()
            process.wait(timeout=STOP_TIMEOUT)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready", timeout=5).is_success
    except httpx.TransportError:
        return False
