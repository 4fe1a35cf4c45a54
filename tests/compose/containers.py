"""The platform in containers, with its own secrets: starts, inspects, kills and always removes it."""

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from demo.actors import Person, first_administrator
from demo.runner import Runner
from demo.scenario import Scenario
from demo.steps import run_scenario
from deploy.bootstrap import sample_people
from deploy.platform_process import free_port
from deploy.secret_files import ensure_secrets
from tests.faults.retrying_client import RetryingTransport

ROOT = Path(__file__).parents[2]
READY_TIMEOUT = 600.0
"""Seconds, on a busy machine."""


def run(*words: str, check: bool = True, text: str | None = None, **variables: str) -> str:
    """Run a command at the root of the checkout and return its output. Raises `RuntimeError` with all output."""
    result = subprocess.run(
        words, cwd=ROOT, env=os.environ | variables, input=text, capture_output=True, text=True, check=False
    )
    if check and result.returncode:
        raise RuntimeError(f"{' '.join(words)} result with {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result.stdout


def until(done: Callable[[], Any], what: str) -> Any:
    """Return the first true result of `done`."""
    deadline = time.monotonic() + READY_TIMEOUT
    while time.monotonic() < deadline:
        if result := done():
            return result
        time.sleep(0.5)
    raise TimeoutError(what)


class _Runner(Runner):
    def __init__(self, client: httpx.AsyncClient, at_step: Callable[[int], None]) -> None:
        super().__init__(client, effect_timeout=READY_TIMEOUT)
        self._at_step = at_step
        self.meanwhile: list[asyncio.Task[None]] = []

    async def step(self, *words: Any, **more: Any) -> httpx.Response:
        self.meanwhile.append(asyncio.create_task(asyncio.to_thread(self._at_step, len(self.steps) + 1)))
        return await super().step(*words, **more)


class Containers:
    """One installation with its own project name; `more` are further options of `docker compose`."""

    def __init__(self, directory: Path, project: str, *more: str) -> None:
        self.secrets = directory / "secrets"
        self.directory = directory
        self.people: dict[str, Person] = {}
        self._rng = random.Random()
        ensure_secrets(self.secrets)
        first = free_port(10)
        variables = {
            "XINDUN_SECRETS": str(self.secrets),
            "XINDUN_SECRETS_GROUP": str((self.secrets / "identity").stat().st_gid),
            "XINDUN_PORT": f"{first}-{first + 9}",
        }
        own = directory / "compose.env"
        own.write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
        self.command = ("docker", "compose", "--project-name", project, "--env-file", str(own), *more)

    def compose(self, *words: str, text: str | None = None) -> str:
        return run(*self.command, *words, text=text)

    def up(self, *words: str) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", str(int(READY_TIMEOUT)), *words)

    async def token(self) -> str:
        """Return a new access token of the center's administrator, after the scenario activated the account."""
        center = self.people["center"]
        async with httpx.AsyncClient(base_url=self.url(), timeout=60) as client:
            await center.sign_in(Runner(client, effect_timeout=READY_TIMEOUT))
        return str(center.access_token)

    async def operations(self, *words: str) -> Any:
        """Run the operators' command line in a container, and return its JSON, whatever the exit status."""
        command = (*self.command, "run", "--rm", "--no-TTY", "-e", "XINDUN_TOKEN", "operations", *words, "--json")
        return json.loads(run(*command, check=False, XINDUN_TOKEN=await self.token()))

    async def operations_outside(self, *words: str) -> str:
        """Run it on the host, where keys and passwords are rotated."""
        command = (sys.executable, "-m", "operations", *words, "--secrets", str(self.secrets))
        return await asyncio.to_thread(run, *command, XINDUN_TOKEN=await self.token(), XINDUN_URL=self.url())

    def down(self) -> None:
        """Remove everything with its data; write the logs beside the secrets."""
        (self.directory / "containers.log").write_text(self.compose("logs", "--no-color", "--timestamps"))
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20")

    def first_administrators(self) -> None:
        """Create them, once: they act in every scenario."""
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
        made = json.loads(self.compose(*command, text=json.dumps(sample_people())))
        self.people = {role: first_administrator(role, known, self._rng) for role, known in made.items()}

    def url(self, index: int = 1) -> str:
        return "http://" + self.compose("port", "--index", str(index), "gateway", "8000").strip()

    def ready(self, index: int = 1) -> bool:
        try:
            return httpx.get(f"{self.url(index)}/ready", timeout=5).is_success
        except httpx.TransportError:
            return False

    async def play(self, index: int = 1, *, at_step: Callable[[int], None] = lambda _: None) -> None:
        """Run the scenario through one of the gateways, with retries, up to the verification of its evidence.

        `at_step` is called with the number of each step, in a thread of its own. Raises `Failed`.
        """
        out = self.directory / "demo"
        out.mkdir(exist_ok=True)
        url = self.url(index)
        transport = RetryingTransport(url, patience=READY_TIMEOUT)
        async with httpx.AsyncClient(transport=transport, base_url=url, timeout=60) as client:
            runner = _Runner(client, at_step)
            try:
                await run_scenario(Scenario(runner, self._rng, self.people["authority"], self.people["center"], out))
            finally:
                await asyncio.gather(*runner.meanwhile)
        run(sys.executable, "-I", str(out / "verify.py"), str(out / "evidence"))

    def inspected(self, *, all_of_them: bool = False) -> dict[str, dict[str, Any]]:
        """Return the engine's description of each container by name."""
        ids = self.compose("ps", "--quiet", *(["--all"] if all_of_them else [])).split()
        return {each["Name"].lstrip("/"): each for each in json.loads(run("docker", "inspect", *ids))}

    def of(self, service: str) -> dict[str, Any]:
        """Return the engine's description of the first container of `service`."""
        number = self.compose("ps", "--all", "--quiet", service).split()[0]
        found: dict[str, Any] = json.loads(run("docker", "inspect", number))[0]
        return found

    def kill(self, service: str) -> None:
        """Send SIGKILL to its process from outside: after `docker kill` the engine does not restart it."""
        before = self.of(service)
        program = f"import os; os.kill({before['State']['Pid']}, 9)"
        own = ("--rm", "--pid=host", "--user=0", "--cap-drop=ALL", "--cap-add=KILL", "--network=none")
        run("docker", "run", *own, "xindun/identity", "python", "-c", program)
        until(lambda: self._restarted(service, before["State"]["StartedAt"]), f"{service} did not come back")

    def _restarted(self, service: str, started: str) -> bool:
        state = self.of(service)["State"]
        return bool(state["StartedAt"] != started and state["Health"]["Status"] == "healthy")
