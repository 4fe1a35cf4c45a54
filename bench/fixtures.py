"""What there must be before anything can be measured: a unit with a system, a grant of a large quota, and records."""

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

__all__ = ["World", "build", "more_grants"]

QUOTA = {"calls": 1_000_000, "rows": 1_000_000, "subjects": 100_000}


@dataclass
class World:
    """The life up to its first use of data, and its client."""

    scenario: Scenario
    client: httpx.AsyncClient
    grants: dict[str, str]
    """Grants of the unit, by resource."""

    def query(self, resource: str = RESOURCE) -> bytes:
        """Return the body of a query that is answered, of a resource for which there is a grant."""
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
        """A new token of the system."""
        with contextlib.redirect_stdout(io.StringIO()):
            await self.scenario.system.sign_in(self.scenario.runner)
        assert self.scenario.system.access_token
        return self.scenario.system.access_token

    async def call(self, who: Person, method: str, path: str, **more: Any) -> httpx.Response:
        """Do something in somebody's name. Raises `RuntimeError` when it is refused."""
        headers = {"Authorization": f"Bearer {who.access_token}"} | more.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **more)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer


async def build(client: httpx.AsyncClient, administrators: bytes) -> World:
    """Play the scenario, in silence, until its system may query."""
    rng = random.Random(7)  # noqa: S311 - the same names each time
    known = json.loads(administrators)
    authority, center = (first_administrator(role, known[role], rng) for role in ("authority", "center"))
    out = Path(tempfile.mkdtemp(prefix="xindun-bench-"))
    scenario = Scenario(Runner(client), rng, authority, center, out, short_grant_seconds=None)
    with contextlib.redirect_stdout(io.StringIO()):
        await register_unit(scenario)
        await onboard_clerk(scenario)
        await open_resource(scenario)
        await _open_wide(scenario)
        await apply_and_sign(scenario)
        await obtain_grant(scenario, scenario.context["wanted"] | {"quota": QUOTA})
    return World(scenario, client, {RESOURCE: scenario.context["grant"]})


async def more_grants(world: World, count: int) -> list[str]:
    """See that there are grants of `count` resources, with the same records in each, and return these resources."""
    scenario = world.scenario
    while len(world.grants) < count:
        code = f"{RESOURCE}-{len(world.grants) + 1}"
        resource = {"code": code, "title": code, "fields": FIELDS, "subject_field": "uscc", "name_field": "party"}
        await world.call(scenario.center, "POST", "/datashare/resources", json=resource)
        csv = {"content": scenario.records, "headers": {"Content-Type": "text/csv"}}
        await world.call(scenario.center, "POST", f"/datashare/resources/{code}/records", **csv)
        with contextlib.redirect_stdout(io.StringIO()):
            await _open_wide(scenario, code)
            await obtain_grant(scenario, scenario.context["wanted"] | {"resource": code, "quota": QUOTA})
        world.grants[code] = scenario.context["grant"]
    return list(world.grants)[:count]


async def _open_wide(scenario: Scenario, resource: str = RESOURCE) -> None:
    path = "/datashare/resources/{}/opening"
    headers = {"Authorization": f"Bearer {scenario.authority.access_token}"}
    known = (await scenario.runner.client.get(path.format(RESOURCE), headers=headers)).json()
    present = await scenario.runner.client.get(path.format(resource), headers=headers)
    names = ("fields", "purposes", "unit_kinds", "longest_term_days")
    opening = {name: known[name] for name in names} | {"quota": QUOTA, "reason": "规程第十条"}
    headers["If-Match"] = present.headers.get("etag", '"0"')
    answer = await scenario.runner.client.put(path.format(resource), headers=headers, json=opening)
    answer.raise_for_status()
