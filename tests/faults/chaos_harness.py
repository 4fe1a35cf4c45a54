"""A deployed platform with people on it: who revokes, whose tokens are revoked, and lives that go on meanwhile."""

import asyncio
import contextlib
import json
import random
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
from demo.actors import TOTP_STEP
from demo.runner import Runner, Step, StepFailedError
from demo.scenario import Scenario
from demo.steps import run_scenario
from tests.faults.consistency_checks import Ledger
from tests.faults.retrying_client import PatientTransport, lost_once
from tests.faults.token_race import Door
from tests.harness.process_platform import ProcessPlatform
from tests.platform.harness import QUOTA, RESOURCE, FlowingClock, Person, System, Unit, World

PATHS = {
    "gateway": "/identity/me",
    "identity": "/identity/me",
    "datashare": "/datashare/grants",
    "incident": "/incident/breaches",
    "audit": "/audit/records",
}
"""What a token is used for at each kind of door; an answer other than 401 and "not now" means that the door took it."""
PATIENCE = 300.0
"""Seconds in which any request is answered, and any effect there, however often something dies meanwhile."""
SOON = timedelta(minutes=4)


class RealClock(FlowingClock):
    """Time that nobody moves."""

    def advance(self, by: timedelta) -> None:
        raise AssertionError(f"no code of the second factor for another {by}")


class QuietStory(Runner):
    """Prints nothing and is patient: processes die while it is told."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        super().__init__(client, effect_timeout=PATIENCE)

    def start_chapter(self, title: str) -> None:
        self._chapter = title

    @staticmethod
    def _print(step: Step) -> None:
        pass


class City(World):
    """The people of a platform that runs as processes."""

    def __init__(self, processes: ProcessPlatform, client: httpx.AsyncClient, ledger: Ledger, seed: int) -> None:
        self.processes, self.client, self.ledger = processes, client, ledger
        self.platform, self.clock = self, RealClock()
        self.rng = random.Random(seed)
        self._number = iter(range(1, 10**9))
        self.lives = self.interrupted = 0
        self._doors: list[Door] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, processes: ProcessPlatform, seed: int) -> AsyncIterator["City"]:
        transport = PatientTransport(*processes.gateways(), patience=PATIENCE)
        async with (
            httpx.AsyncClient(transport=transport, base_url=processes.url, timeout=40) as client,
            Ledger.open(processes.admin) as ledger,
        ):
            city = cls(processes, client, ledger, seed)
            city.transport = transport
            try:
                yield city
            finally:
                for door in city._doors:
                    door.close()

    transport: PatientTransport

    async def begin(self) -> "City":
        known = json.loads(await asyncio.to_thread(self.processes.first_administrators))
        both = []
        for role in ("authority", "center"):
            person = Person(self, known[role]["login"], known[role]["account_id"])
            both.append(await (await person.activate(known[role]["activation_code"])).sign_in())
        self.authority, self.center = both
        await self._open()
        return self

    async def unit(self, *, quota: dict[str, int] | None = None) -> Unit:
        await self._widen()
        return await super().unit(quota=quota)

    async def _widen(self) -> None:
        """Set the opening's quota anew: a life that was played before has opened the resource for less."""
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
        await self.ledger.settled(PATIENCE)

    def doors(self) -> list[Door]:
        """New connections to every gateway and every service."""
        doors = [
            Door(row["name"], row["port"], PATHS[row["kind"]])
            for row in self.processes.table().values()
            if row["kind"] in PATHS
        ]
        self._doors += doors
        return doors

    async def fresh(self, person: Person) -> None:
        """See to it that a session lasts a while: a refresh token whose answer was lost costs a sign-in."""
        if self.clock.now() + SOON < person.until:
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

    async def live(self, out: Path) -> str | None:
        """Play a life; return what interrupted it: a code or token that serves once, whose answer was lost."""
        await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
        people = [self._played(person) for person in (self.authority, self.center)]
        story = QuietStory(self.client)
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
        self.lives += 1
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
