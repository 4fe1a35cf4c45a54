"""The embedded platform as its own process: started, killed, started again on the same data."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from deploy.platform_process import free_port

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 240.0


class EmbeddedPlatform:
    """`python -m deploy.embedded_platform` on `directory`."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        self.directory, self.port = directory, port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> float:
        """Start, wait until ready, and return the seconds it took."""
        started_at = time.perf_counter()
        self.directory.mkdir(parents=True, exist_ok=True)
        output = (self.directory / "output.txt").open("ab")
        command = [
            sys.executable,
            "-m",
            "deploy.embedded_platform",
            "--data",
            str(self.directory),
            "--port",
            str(self.port),
        ]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
        output.close()
        pause = 0.02
        while True:
            if self.process.poll() is not None:
                raise RuntimeError(f"the platform ended: {(self.directory / 'output.txt').read_text()[-2000:]}")
            try:
                if httpx.get(f"{self.url}/ready", timeout=5).status_code == 200:
                    return time.perf_counter() - started_at
            except httpx.TransportError:
                pass
            if time.perf_counter() - started_at > STARTS_WITHIN:
                raise RuntimeError("the platform is not ready")
            time.sleep(pause)

    def kill(self) -> None:
        """As a power cut of the process: SIGKILL. PostgreSQL outlives it, and the next start finds it."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it in order; returns its exit status."""
        assert self.process
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def first_administrators(self) -> bytes:
        """Run the one-time command and return what it prints."""
        command = [sys.executable, "-m", "deploy.bootstrap", "--data", str(self.directory)]
        environment = os.environ | {"PYTHONUTF8": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60).stdout
