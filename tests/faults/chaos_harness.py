"""A deployed platform with people on it: who revokes, whose tokens are revoked, and scenarios that go on meanwhile."""

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from demo import actors
from demo.runner import Runner, Step, StepFailedError
from demo.scenario import Scenario
from demo.steps import run_scenario
from tests.faults.consistency_checks import ConsistencyChecks
from tests.faults.retrying_client import RetryingTransport, lost_once
from tests.faults.token_race import Endpoint
from tests.harness.people import TOTP_STEP, People, Person, System
from tests.harness.process_platform import ProcessPlatform
from tests.platform.harness import QUOTA, RESOURCE, FlowingClock, PlatformHarness, Unit

PATHS = {
    "gateway": "/identity/me",
    "identity": "/identity/me",
    "datashare": "/datashare/grants",
    "incident": "/incident/breaches",
    "audit": "/audit/records",
}
"""A read for each kind of process: any status other than 401, 502, 503, 504 means that the token was accepted."""
PATIENCE = 300.0
"""Seconds in which any request is answered, and any effect there, however often something dies meanwhile."""
SESSION_RESERVE = timedelta(minutes=4)


class RealClock(FlowingClock):
    """Time that nobody moves."""

    def advance(self, by: timedelta) -> None:
        raise AssertionError(f"no code of the second factor for another {by}")


class QuietRunner(Runner):
    """Prints nothing and is patient: processes die while it is told."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client, effect_timeout=PATIENCE)

    def start_chapter(self, title: str) -> None:
        self._chapter = title

    @staticmethod
    def _print(step: Step) -> None:
        pass


class ChaosHarness(PlatformHarness):
    """The people of a platform that runs as processes."""

    def __init__(
        self, processes: ProcessPlatform, client: httpx.AsyncClient, checks: ConsistencyChecks, seed: int
    ) -> None:
        People.__init__(self, seed)
        self.processes, self.client, self.checks = processes, client, checks
        self.platform, self.clock = self, RealClock()
        self.scenarios = self.interrupted = 0
        self._endpoints: list[Endpoint] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, processes: ProcessPlatform, seed: int) -> AsyncIterator["ChaosHarness"]:
        transport = RetryingTransport(*processes.gateways(), patience=PATIENCE)
        async with (
            httpx.AsyncClient(transport=transport, base_url=processes.url, timeout=40) as client,
            ConsistencyChecks.open(processes.connect) as checks,
        ):
            harness = cls(processes, client, checks, seed)
            harness.transport = transport
            try:
                yield harness
            finally:
                for endpoint in harness._endpoints:
                    endpoint.close()

    transport: RetryingTransport

    async def begin(self) -> "ChaosHarness":
        await self.admit_administrators(json.loads(await asyncio.to_thread(self.processes.first_administrators)))
        await self.open_resource()
        return self

    async def unit(self, *, quota: dict[str, int] | None = None) -> Unit:
        await self._widen()
        return await super().unit(quota=quota)

    async def _widen(self) -> None:
        """Raise the opening's quota: a scenario that was played before has opened the resource for less."""
        path = f"/datashare/resources/{RESOURCE}/opening"
        present = await self.authority.get(path)
        opening = present.json()
        if opening["quota"] == QUOTA:
            return
        kept = {name: opening[name] for name in ("fields", "purposes", "unit_kinds", "longest_term_days")}
        headers = {"if-match": present.headers["etag"]}
        wider = kept | {"quota": QUOTA, "reason": "规程第十条"}
        answer = await self.authority.send("PUT", path, wider, headers=headers)
        assert answer.status_code == 200, answer.text

    async def settle(self) -> None:
        await self.checks.settled(PATIENCE)

    def endpoints(self) -> list[Endpoint]:
        """New connections to every gateway and every service."""
        endpoints = [
            Endpoint(row["name"], row["port"], PATHS[row["kind"]])
            for row in self.processes.table().values()
            if row["kind"] in PATHS
        ]
        self._endpoints += endpoints
        return endpoints

    async def fresh(self, person: Person) -> None:
        """See to it that a session lasts a while: a refresh token whose answer was lost costs a sign-in."""
        if self.clock.now() + SESSION_RESERVE < person.until:
            return
        answer = await person.try_refresh()
        if answer.status_code == 200:
            person.keep(answer, 200)
            return
        await asyncio.sleep(max(0.0, person.step * TOTP_STEP - time.time()))  # until there is a code that was not used
        await person.sign_in()

    async def suspend(self, admin: Person, system: System) -> dict[str, Any]:
        """Suspend a system, and return the acknowledgement: one that says since when it is effective."""
        return await self.effective(admin, f"/identity/systems/{system.id}/suspend")

    async def effective(self, by: Person, path: str) -> dict[str, Any]:
        """Post to what ends credentials until it says since when that holds: the same request, which acts once."""
        await self.fresh(by)
        deadline = time.monotonic() + PATIENCE
        headers = {"X-Request-Id": str(uuid.uuid4())}
        while True:
            body = await by.done(path, {"reason": "核查"}, headers=headers)
            effective: dict[str, Any] = body["effective"]
            if effective["effective_at"]:
                return effective
            assert time.monotonic() < deadline, "the bus never held the cutoff"

    async def revive(self, admin: Person, system: System) -> None:
        await admin.done(f"/identity/systems/{system.id}/reinstate")
        await system.sign_in()

    async def play(self, out: Path) -> str | None:
        """Play a scenario; return what interrupted it: a code or token that serves once, whose answer was lost."""
        await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
        people = [self._played(person) for person in (self.authority, self.center)]
        story = QuietRunner(self.client)
        try:
            await run_scenario(Scenario(story, self.rng, people[0], people[1], out, short_grant_seconds=None))
        except StepFailedError as failed:
            if not lost_once(story.steps[-1]):
                raise
            self.interrupted += 1
            return str(failed)
        finally:
            for person, played in zip((self.authority, self.center), people, strict=True):
                person.step = played.last_step
        self.scenarios += 1
        return None

    @staticmethod
    def _played(person: Person) -> actors.Person:
        return actors.Person(
            person.login, person.login, person.password, totp_secret=person.secret, last_step=person.step
        )

    async def verified(self, out: Path) -> list[str]:
        """Check the log with the operator's tool and the last evidence with the court's; return what they found."""
        commands = {
            "fsck": ([sys.executable, "-m", "audit.fsck"], self.processes.environment("audit")),
            "verify": ([sys.executable, "-I", str(out / "verify.py"), str(out / "evidence")], None),
        }
        found = []
        for name, (command, environment) in commands.items():
            done = await asyncio.to_thread(
                subprocess.run, command, env=environment, capture_output=True, text=True, check=False
            )
            if done.returncode:
                found.append(f"{name}: {done.stdout[-2000:]} {done.stderr[-2000:]}")
        return found
