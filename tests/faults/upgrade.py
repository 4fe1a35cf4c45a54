"""An upgrade: an earlier version makes data, this version starts on it, and everything in it keeps its meaning."""

import json
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx

from demo.actors import Person, first_administrator
from demo.runner import Expected, Runner
from demo.scenario import PURPOSE, RESOURCE, Scenario
from demo.steps import run_scenario
from tests.faults.earlier_version import EarlierVersion, RunningVersion

EFFECT_TIMEOUT = 120.0
"""Seconds that a step waits for an effect which events carry."""


class Platform(Protocol):
    """What each test starter of this version offers."""

    @property
    def url(self) -> str: ...

    def start(self) -> object: ...

    def stop(self) -> object: ...


@contextmanager
def running(platform: Platform) -> Iterator[str]:
    """Start a platform of this version, give its URL, and stop it."""
    try:
        platform.start()
        yield platform.url
    finally:
        platform.stop()


async def upgrade(
    version: EarlierVersion,
    earlier: AbstractContextManager[RunningVersion],
    later: AbstractContextManager[str],
    out: Path,
) -> None:
    """Make data with `earlier`, stop it, and use the data with `later`.

    Raises `StepFailedError` at the first response that is not the expected one. `out` takes what both export.
    """
    with earlier as platform:
        variables = {"PLATFORM_URL": platform.url, "BOOTSTRAP": str(platform.administrators)}
        version.run("demo", **variables, DEMO_OUT=str(out / "demo"))
        async with _client(platform.url) as client:
            administrators = json.loads(platform.administrators.read_text())
            made = await _make(client, administrators, _directory(out / "earlier"))
    with later as url:
        async with _client(url) as client:
            await _use(made, client)
            await _play_again(made, _directory(out / "later"))
    _compare_evidence(out / "earlier", out / "later")


@dataclass
class Made:
    """What the earlier version made. `scenario` holds people and systems with their credentials."""

    scenario: Scenario
    invited: Person
    registered: dict[str, Any]
    breach: str
    calls_left: int
    record: dict[str, Any]
    log_key: dict[str, Any]


async def _make(client: httpx.AsyncClient, administrators: dict[str, Any], out: Path) -> Made:
    """Play a scenario, and leave an invitation, a repeatable request and a containment open."""
    rng = random.Random()
    authority, center = (first_administrator(role, administrators[role], rng) for role in ("authority", "center"))
    scenario = Scenario(Runner(client, EFFECT_TIMEOUT), rng, authority, center, out)
    await run_scenario(scenario)
    invited = scenario.person("受邀人周宁", "invited")
    await scenario.invite(scenario.unit_admin, invited, "周宁")
    scenario.context["registration"] = {
        "token": scenario.unit_admin.access_token,
        "headers": {"Idempotency-Key": str(uuid.uuid4())},
        "json": {"name": f"备用系统-{rng.randrange(10**6)}", "origins": ["10.98.0.0/16"]},
    }
    registered = (await _register(scenario)).json()
    calls_left = (await _query(scenario)).json()["quota_left"]["calls"]
    breach = await _report_breach(scenario)
    (out / "checkpoint").write_text((await client.get("/audit/checkpoint")).text)
    return Made(scenario, invited, registered, breach, calls_left, await _record(scenario), await _log_key(client))


async def _use(made: Made, client: httpx.AsyncClient) -> None:
    """Use the tokens, secrets, grants and decisions of the earlier version."""
    scenario, runner = made.scenario, Runner(client, EFFECT_TIMEOUT)
    scenario.runner = runner
    for person in (scenario.authority, scenario.center, scenario.unit_admin):
        path = "/identity/me"
        await runner.step(
            person.name, "旧访问令牌仍有效 / access token", "GET", path, Expected(200), token=person.access_token
        )
    again = await _register(scenario)
    assert again.json() == made.registered
    assert again.headers["Idempotency-Replayed"] == "true"
    await _refused_after_departure(scenario)
    await scenario.remote_system.sign_in(runner, Expected(401))
    await _query(scenario, Expected(403, "grant-suspended"))
    await _lift_containment(scenario, made.breach)
    await scenario.remote_system.sign_in(runner, Expected(403, "origin-not-registered"))
    await _query(scenario, _calls_left(made.calls_left - 1))
    await scenario.system.sign_in(runner)
    await _query(scenario, _calls_left(made.calls_left - 2))
    await made.invited.activate(runner)
    await made.invited.sign_in(runner)
    for person in (scenario.authority, scenario.center, scenario.unit_admin):
        await person.refresh(runner)
    await scenario.unit_admin.sign_in(runner)
    assert await _record(scenario) == made.record
    assert await _log_key(client) == made.log_key


async def _play_again(made: Made, out: Path) -> None:
    """Play the scenario again with the administrators of the earlier version."""
    before = made.scenario
    await run_scenario(Scenario(before.runner, before.rng, before.authority, before.center, out))


async def _register(scenario: Scenario) -> httpx.Response:
    return await scenario.runner.step(
        scenario.unit_admin.name,
        "登记备用系统（同一 Idempotency-Key）/ registers a system under one key",
        "POST",
        "/identity/systems",
        Expected(201),
        **scenario.context["registration"],
    )


async def _query(scenario: Scenario, expected: Expected | None = None) -> httpx.Response:
    return await scenario.runner.step(
        scenario.system.name,
        "按授权查询 / queries under the grant",
        "POST",
        "/datashare/queries",
        expected or Expected(200),
        token=scenario.system.access_token,
        json={
            "resource": RESOURCE,
            "grant_id": scenario.context["grant"],
            "purpose": PURPOSE,
            "case_number": scenario.case_number(),
            "subject": {"uscc": scenario.context["subject"]},
            "fields": ["uscc", "party", "penalty_date", "amount"],
        },
    )


def _calls_left(count: int) -> Expected:
    return Expected(200, predicate=lambda body: body["quota_left"]["calls"] == count)


async def _report_breach(scenario: Scenario) -> str:
    answer = await scenario.runner.step(
        scenario.unit_admin.name,
        "报告异地机房系统泄露 / reports a breach",
        "POST",
        "/incident/breaches",
        Expected(201),
        token=scenario.unit_admin.access_token,
        params={"wait_ms": 5000},
        json={
            "kind": "leak",
            "description": "异地机房系统导出的处罚信息疑似外泄",
            "occurred_at": None,
            "detected_at": datetime.now(UTC).isoformat(),
            "scope": {"systems": [scenario.remote_system.system_id]},
        },
    )
    breach = str(answer.json()["id"])
    await _containment(scenario, breach, "contained")
    return breach


async def _containment(scenario: Scenario, breach: str, state: str) -> None:
    await scenario.runner.step(
        scenario.center.name,
        "查看遏制进展 / reads the containment",
        "GET",
        f"/incident/breaches/{breach}",
        Expected(200, predicate=lambda body: body["containment"]["state"] == state),
        token=scenario.center.access_token,
        eventually=True,
    )


async def _lift_containment(scenario: Scenario, breach: str) -> None:
    path = f"/incident/breaches/{breach}/lift-proposals"
    proposed = await scenario.runner.step(
        scenario.center.name,
        "提议解除 / proposes to lift",
        "POST",
        path,
        Expected(201),
        token=scenario.center.access_token,
        json={"reason": "核查为误报"},
    )
    path = f"/incident/lift-proposals/{proposed.json()['id']}/approve"
    await scenario.runner.step(
        scenario.authority.name,
        "批准解除 / approves",
        "POST",
        path,
        Expected(200),
        token=scenario.authority.access_token,
    )
    await _containment(scenario, breach, "reopened")


async def _refused_after_departure(scenario: Scenario) -> None:
    """Show that every credential of the clerk who left is still refused."""
    clerk, runner = scenario.clerk, scenario.runner
    revoked = Expected(401, "credential-revoked", {"reason": "account-revoked"})
    await runner.step(clerk.name, "旧访问令牌 / access token", "GET", "/identity/me", revoked, token=clerk.access_token)
    refresh = {"refresh_token": clerk.refresh_token}
    path = "/identity/sessions/refresh"
    await runner.step(clerk.name, "旧刷新令牌 / refresh token", "POST", path, Expected(401), json=refresh)
    factors = {"login": clerk.login, "password": clerk.password, "totp": await clerk.code()}
    refused = Expected(401, "sign-in-refused")
    await runner.step(clerk.name, "重新登录 / signs in", "POST", "/identity/sessions", refused, json=factors)


async def _record(scenario: Scenario) -> dict[str, Any]:
    answer = await scenario.runner.step(
        scenario.authority.name,
        "查阅最早的记录 / reads the oldest record",
        "GET",
        "/audit/records/0",
        Expected(200),
        token=scenario.authority.access_token,
    )
    record: dict[str, Any] = answer.json()
    return record


async def _log_key(client: httpx.AsyncClient) -> dict[str, Any]:
    key: dict[str, Any] = (await client.get("/audit/log-key")).json()
    return key


def _directory(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _client(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=60)


def _compare_evidence(earlier: Path, later: Path) -> None:
    """Verify the evidence of both versions with the verifiers of both, and that the log only grew."""
    continues = ["--known", str(earlier / "checkpoint")]
    for verifier in (earlier / "verify.py", later / "verify.py"):
        for package, options in ((earlier / "evidence", []), (later / "evidence", continues)):
            command = [sys.executable, "-I", str(verifier), str(package), *options]
            verified = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            assert verified.returncode == 0, (command, verified.stdout, verified.stderr)
    sizes = [int(path.read_text().splitlines()[1]) for path in (earlier / "checkpoint", later / "evidence/checkpoint")]
    assert sizes[0] < sizes[1], sizes
