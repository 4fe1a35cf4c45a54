"""The data for the measurements: a unit with a connected system, a grant with a large quota, and records."""

import contextlib
import io
import json
import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from demo.actors import Person, first_administrator
from demo.runner import Runner
from demo.sample_data import FIELDS
from demo.scenario import PURPOSE, RESOURCE, Scenario
from demo.steps.granting import apply_and_sign, obtain_grant, open_resource
from demo.steps.onboarding import onboard_clerk, register_unit

QUOTA = {"calls": 1_000_000, "rows": 1_000_000, "subjects": 100_000}


@dataclass
class Fixtures:
    """The demo's scenario up to its first query, and an HTTP client."""

    scenario: Scenario
    client: httpx.AsyncClient
    grants: dict[str, str]
    """Grant ids of the unit, by resource."""

    def query(self, resource: str = RESOURCE) -> bytes:
        """Return the body of a query that a grant allows."""
        return json.dumps(
            {
                "resource": resource,
                "grant_id": self.grants[resource],
                "purpose": PURPOSE,
                "case_number": "厦审〔2026〕1号",
                "subject": {"uscc": self.scenario.context["subject"]},
                "fields": ["uscc", "party", "penalty_date", "amount"],
            },
            ensure_ascii=False,
        ).encode()

    async def token(self) -> str:
        """Return a new token of the system."""
        with contextlib.redirect_stdout(io.StringIO()):
            await self.scenario.system.sign_in(self.scenario.runner)
        assert self.scenario.system.access_token
        return self.scenario.system.access_token

    async def call(self, actor: Person, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request as `actor`. Raises `RuntimeError` if it is refused."""
        headers = {"Authorization": f"Bearer {actor.access_token}"} | more.pop("headers", {})
        response = await self.client.request(method, path, headers=headers, **more)
        if not response.is_success:
            raise RuntimeError(f"{method} {path}: {response.status_code} {response.text}")
        return response


async def build_fixtures(client: httpx.AsyncClient, administrators: bytes) -> Fixtures:
    """Run the scenario, without output, until its system may query."""
    rng = random.Random(7)  # noqa: S311 - the same names each time
    known = json.loads(administrators)
    authority, center = (first_administrator(role, known[role], rng) for role in ("authority", "center"))
    out = Path(tempfile.mkdtemp(prefix="xindun-bench-"))
    scenario = Scenario(Runner(client), rng, authority, center, out, short_grant_seconds=None)
    with contextlib.redirect_stdout(io.StringIO()):
        await register_unit(scenario)
        await onboard_clerk(scenario)
        await open_resource(scenario)
        await _raise_opening_quota(scenario)
        await apply_and_sign(scenario)
        await obtain_grant(scenario, scenario.context["application"] | {"quota": QUOTA})
    return Fixtures(scenario, client, {RESOURCE: scenario.context["grant"]})


async def add_grants(fixtures: Fixtures, count: int) -> list[str]:
    """Obtain grants until there are `count`, each for a resource with the same records; return the resources."""
    scenario = fixtures.scenario
    while len(fixtures.grants) < count:
        code = f"{RESOURCE}-{len(fixtures.grants) + 1}"
        resource = {"code": code, "title": code, "fields": FIELDS, "subject_field": "uscc", "name_field": "party"}
        await fixtures.call(scenario.center, "POST", "/datashare/resources", json=resource)
        csv = {"content": scenario.records, "headers": {"Content-Type": "text/csv"}}
        await fixtures.call(scenario.center, "POST", f"/datashare/resources/{code}/records", **csv)
        with contextlib.redirect_stdout(io.StringIO()):
            await _raise_opening_quota(scenario, code)
            await obtain_grant(scenario, scenario.context["application"] | {"resource": code, "quota": QUOTA})
        fixtures.grants[code] = scenario.context["grant"]
    return list(fixtures.grants)[:count]


async def _raise_opening_quota(scenario: Scenario, resource: str = RESOURCE) -> None:
    path = "/datashare/resources/{}/opening"
    headers = {"Authorization": f"Bearer {scenario.authority.access_token}"}
    known = (await scenario.runner.client.get(path.format(RESOURCE), headers=headers)).json()
    present = await scenario.runner.client.get(path.format(resource), headers=headers)
    names = ("fields", "purposes", "unit_kinds", "longest_term_days")
    opening = {name: known[name] for name in names} | {"quota": QUOTA, "reason": "规程第十条"}
    headers["If-Match"] = present.headers.get("etag", '"0"')
    response = await scenario.runner.client.put(path.format(resource), headers=headers, json=opening)
    response.raise_for_status()
