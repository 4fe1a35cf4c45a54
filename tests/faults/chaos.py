"""`make chaos SEED= RUNS= RACES=`: faults without end on a platform of processes, while scenarios are played and tokens revoked.

Three gateways and two of each service, unless GATEWAYS=, IDENTITY= … say otherwise. RUNS faults (kill -9, SIGSTOP for
10 s, an order to end), each of a process that the seed chooses, stores included, at moments that it chooses; meanwhile one
scenario after the other, and RACES races: a token is used without a pause at every gateway and every service while it is
revoked. At the end everything that was acknowledged must be found, every effect exactly once, and no use of a token that
began after the acknowledgement of its revocation may have succeeded. Exit status 1 where anything is not so. The seed makes
faults and people the same; how processes meet is the machine's.
"""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.chaos_harness import ChaosHarness
from tests.faults.fault_injection import Faults
from tests.faults.token_race import REFUSED, Endpoint, Race, accepted, race
from tests.harness.people import Person, System
from tests.harness.process_platform import ProcessPlatform
from tests.platform.harness import Unit

COUNTS = {"gateway": 3, "identity": 2, "datashare": 2, "incident": 2, "audit": 2}
"""Unless the environment says otherwise: GATEWAYS=, IDENTITY= …"""
PEOPLE = 4
"""Clerks whose accounts are suspended in a part of the races; each needs a new code of the second factor every time."""
EXHUMED = 4
"""Tokens of earlier races that are shown again somewhere in each race."""
LOG_INTERVAL = 50
STEP = 30


def log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


@dataclass
class Races:
    """Revocations one after the other, each while its token is used everywhere."""

    harness: ChaosHarness
    unit: Unit
    systems: list[System]
    clerks: list[Person]
    rng: random.Random
    wanted: int
    endpoints: list[Endpoint]
    run: int = 0
    people: int = 0
    accepted: int = 0
    refused: int = 0
    silent: int = 0
    exhumed: int = 0
    violations: list[str] = field(default_factory=list)
    _dead: list[tuple[float, str]] = field(default_factory=list)

    async def one(self) -> None:
        """Revoke one token: of a system, or of a clerk who has a code left to sign in again."""
        endpoints = self.endpoints
        ready = [person for person in self.clerks if person.step <= time.time() // STEP - 1]
        if ready and self.rng.random() < 0.25:
            outcome = await self._clerk(endpoints, self.rng.choice(ready))
            self.people += 1
        else:
            outcome = await self._system(endpoints, self.rng.choice(self.systems))
        self.run += 1
        self.accepted += outcome.accepted
        self.refused += len(outcome.refused)
        self.silent += bool(outcome.acknowledgement["silent"])
        self.violations += outcome.violations
        for violation in outcome.violations:
            log(f"✗ {violation}")
        await self._exhume(endpoints)
        self._dead.append((time.monotonic(), outcome.token))
        if self.run % LOG_INTERVAL == 0:
            log(f"{self.run} races, {self.harness.scenarios} scenarios")

    async def _system(self, endpoints: list[Endpoint], system: System) -> Race:
        outcome = await race(endpoints, system.access_token, lambda: self.harness.suspend(self.unit.admin, system))
        await self.harness.revive(self.unit.admin, system)
        return outcome

    async def _clerk(self, endpoints: list[Endpoint], clerk: Person) -> Race:
        path = f"/identity/accounts/{clerk.id}"

        outcome = await race(
            endpoints, clerk.access_token, lambda: self.harness.effective(self.harness.center, f"{path}/suspend")
        )
        await self.harness.center.done(f"{path}/reinstate")
        answer = await clerk.try_sign_in()
        if answer.is_success:
            clerk.keep(answer, 201)
        else:  # the answer took longer than the code is valid
            self.clerks.remove(clerk)
            log(f"a clerk could not sign in again: {answer.status_code}")
        return outcome

    async def _exhume(self, endpoints: list[Endpoint]) -> None:
        """Show tokens of earlier races at some endpoints: what has just started must know them, too."""
        for _, token in self.rng.sample(self._dead, min(EXHUMED, len(self._dead))):
            endpoint = self.rng.choice(endpoints)
            status = await endpoint.use(token)
            self.exhumed += status == REFUSED
            if accepted(status):
                self.violations.append(f"{endpoint.name} answered {status} to a token revoked long ago")
                log(f"✗ {self.violations[-1]}")


async def _people(harness: ChaosHarness) -> tuple[Unit, list[System], list[Person]]:
    unit = await harness.unit()
    systems = [unit.system, *[await harness.system(unit.admin) for _ in range(3)]]
    clerks = [unit.clerk, *[await harness.clerk(unit.admin) for _ in range(PEOPLE - 1)]]
    return unit, systems, clerks


async def _chaos(harness: ChaosHarness, faults: Faults, runs: int, wanted: int, out: Path) -> Races:
    unit, systems, clerks = await _people(harness)
    races = Races(harness, unit, systems, clerks, random.Random(faults.rng.random()), wanted, harness.endpoints())
    over = asyncio.Event()

    async def revoke() -> None:
        while races.run < wanted or not over.is_set():
            await races.one()

    async def play() -> None:
        while not over.is_set() or races.run < wanted or not harness.scenarios:
            if why := await harness.play(out):
                log(f"a scenario was interrupted: {why}")

    async def befall() -> None:
        for _ in range(runs):
            await faults.one()
        over.set()

    async with asyncio.TaskGroup() as group:
        for part in (play(), revoke(), befall()):
            group.create_task(part)
    return races


async def _run(seed: int, runs: int, wanted: int) -> int:
    # Not below a directory of this user alone: PostgreSQL's account must be able to pass through.
    directory = Path(tempfile.mkdtemp(prefix="xindun-chaos-"))
    directory.chmod(0o711)  # noqa: ASYNC240 - nothing else runs yet
    clean = False
    platform = ProcessPlatform(directory / "data", **_counts())
    try:
        log(f"started in {await asyncio.to_thread(platform.start):.0f} s")
        await platform.ready()
        clean = await _played(platform, seed, runs, wanted, directory / "scenario")
    finally:
        await asyncio.to_thread(platform.stop)
        if clean:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            log(f"kept, with all logs: {directory}")
    return 0 if clean else 1


async def _played(platform: ProcessPlatform, seed: int, runs: int, wanted: int, out: Path) -> bool:
    started_at = time.monotonic()
    async with ChaosHarness.open(platform, seed) as harness:
        await harness.begin()
        faults = Faults(platform, random.Random(seed), log=log)
        races = await _chaos(harness, faults, runs, wanted, out)
        log("waiting until everything said has arrived")
        await harness.settle()
        findings = [
            *races.violations,
            *await harness.checks.findings(harness.transport.acknowledged),
            *await harness.verified(out),
        ]
    _summary(seed, time.monotonic() - started_at, harness, faults, races, findings)
    return not findings


def _counts() -> dict[str, int]:
    names = {"gateway": "GATEWAYS"} | {kind: kind.upper() for kind in COUNTS if kind != "gateway"}
    return {kind: int(os.environ.get(names[kind]) or count) for kind, count in COUNTS.items()}


def _summary(
    seed: int, seconds: float, harness: ChaosHarness, faults: Faults, races: Races, findings: list[str]
) -> None:
    acknowledged = harness.transport.acknowledged
    print(f"\nSEED={seed}  {seconds:.0f} s")
    print(f"  faults   {sum(faults.done.values())}, the longest recovery {faults.longest:.1f} s")
    for name, count in sorted(faults.done.items()):
        print(f"             {count:3d} × {name}")
    print(
        f"  played   {harness.scenarios}, {harness.interrupted} interrupted where the answer to a one-time code or token was lost"
    )
    print(
        f"  writes   {len(acknowledged)} acknowledged, {sum(each.attempts > 1 for each in acknowledged)} of them repeated"
    )
    print(f"  races    {races.run}, {races.people} of them on people, {races.silent} with a silent point")
    print(
        f"             {races.accepted} uses before, {races.refused} endpoints refused after; {races.exhumed} old tokens refused"
    )
    print(f"  findings {len(findings)}")
    for finding in findings:
        print(f"    ✗ {finding}")


def main() -> int:
    """Run as the environment says, and return the exit status."""
    seed = int(os.environ.get("SEED") or random.randrange(2**32))
    runs, wanted = int(os.environ.get("RUNS") or 100), int(os.environ.get("RACES") or 1000)
    print(f"SEED={seed} RUNS={runs} RACES={wanted}", flush=True)
    return asyncio.run(_run(seed, runs, wanted))


if __name__ == "__main__":
    sys.exit(main())
