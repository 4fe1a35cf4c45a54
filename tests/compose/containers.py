"""The platform in containers: started with secrets of its own, looked at, killed, taken down whatever happened."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from deploy.secrets import ensure_secrets

ROOT = Path(__file__).parents[2]
MEMBERS = ("identity", "datashare", "incident", "audit", "gateway")
TERM = 600.0
"""Seconds for everything to become ready on a busy machine."""


def run(*words: str, check: bool = True, text: str | None = None, **variables: str) -> str:
    """Run a command at the root of the checkout, and return what it says. Raises `RuntimeError` with all it said."""
    ended = subprocess.run(
        words, cwd=ROOT, env=os.environ | variables, input=text, capture_output=True, text=True, check=False
    )
    if check and ended.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
    return ended.stdout


def until(done: Callable[[], Any], what: str) -> Any:
    """Return the first true answer of `done`."""
    deadline = time.monotonic() + TERM
    while time.monotonic() < deadline:
        if answer := done():
            return answer
        time.sleep(0.5)
    raise TimeoutError(what)


def _free_ports(count: int) -> int:
    """Return the first of `count` neighbouring ports that are free now."""
    for first in range(18_000, 19_000, count):
        try:
            for port in range(first, first + count):
                with socket.create_server(("127.0.0.1", port)):
                    pass
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")


class Containers:
    """One installation under its own name of a project; `more` are further options of `docker compose`."""

    def __init__(self, directory: Path, project: str, *more: str) -> None:
        self.secrets = directory / "secrets"
        self.directory = directory
        ensure_secrets(self.secrets)
        first = _free_ports(10)
        variables = {
            "XINDUN_SECRETS": str(self.secrets),
            "XINDUN_SECRETS_GROUP": str((self.secrets / "identity").stat().st_gid),
            "XINDUN_PORT": f"{first}-{first + 9}",
        }
        own = directory / "compose.env"
        own.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        self._compose = ("docker", "compose", "--project-name", project, "--env-file", str(own), *more)

    def compose(self, *words: str, text: str | None = None) -> str:
        return run(*self._compose, *words, text=text)

    def up(self, *words: str) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", str(int(TERM)), *words)

    def down(self) -> None:
        """Take all away, its data too; the logs are kept beside the secrets."""
        (self.directory / "containers.log").write_text(self.compose("logs", "--no-color", "--timestamps"))
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def first_administrators(self) -> Path:
        """Make them, once, and return the file with their codes."""
        from gateway.first_administrators import invented

        command = (
            "run",
            "--rm",
            "--no-TTY",
            "--no-deps",
            "identity",
            "python",
            "-m",
            "identity.bootstrap",
            "--people",
            "-",
        )
        file = self.directory / "admins.json"
        file.write_text(self.compose(*command, text=json.dumps(invented())))
        return file

    def url(self, index: int = 1) -> str:
        return "http://" + self.compose("port", "--index", str(index), "gateway", "8000").strip()

    def ready(self, index: int = 1) -> bool:
        try:
            return httpx.get(f"{self.url(index)}/ready", timeout=5).is_success
        except httpx.TransportError:
            return False

    def life(self, admins: Path, index: int = 1) -> subprocess.Popen[str]:
        """Begin to play the life through one of the gateways."""
        variables = {
            "PLATFORM_URL": self.url(index),
            "BOOTSTRAP": str(admins),
            "DEMO_OUT": str(self.directory / "demo"),
            "PYTHONUNBUFFERED": "1",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "demo"],
            cwd=ROOT,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def play(self, admins: Path, index: int = 1) -> None:
        """Play it to its end, the verification of the evidence. Raises `AssertionError` with the story."""
        with self.life(admins, index) as life:
            assert life.stdout is not None
            told = life.stdout.read()
        assert life.returncode == 0, told[-4000:]

    def inspected(self, *, all_of_them: bool = False) -> dict[str, dict[str, Any]]:
        """Return what the engine knows of each container, by the container's name."""
        ids = self.compose("ps", "--quiet", *(["--all"] if all_of_them else [])).split()
        return {each["Name"].lstrip("/"): each for each in json.loads(run("docker", "inspect", *ids))}

    def of(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of the first container of `service`."""
        number = self.compose("ps", "--all", "--quiet", service).split()[0]
        found: dict[str, Any] = json.loads(run("docker", "inspect", number))[0]
        return found

    def kill(self, service: str) -> None:
        """Kill -9 its process from outside: to `docker kill` the engine would answer with no restart."""
        before = self.of(service)
        word = f"import os; os.kill({before['State']['Pid']}, 9)"
        own = ("--rm", "--pid=host", "--user=0", "--cap-drop=ALL", "--cap-add=KILL", "--network=none")
        run("docker", "run", *own, "xindun/identity", "python", "-c", word)
        until(lambda: self._again(service, before["State"]["StartedAt"]), f"{service} did not come back")

    def _again(self, service: str, started: str) -> bool:
        state = self.of(service)["State"]
        return bool(state["StartedAt"] != started and state["Health"]["Status"] == "healthy")
