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

from demo.__main__ import administrator
from demo.actors import Person
from demo.runner import Story
from demo.sample_data import FIELDS
from demo.scenario import PURPOSE, RESOURCE, Life
from demo.steps.granting import agree, obtain, open_resource
from demo.steps.onboarding import join, register

__all__ = ["World", "build", "more_grants"]

QUOTA = {"calls": 1_000_000, "rows": 1_000_000, "subjects": 100_000}


@dataclass
class World:
    """The life up to its first use of data, and its client."""

    life: Life
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
                "subject": {"uscc": self.life.base["subject"]},
                "fields": ["uscc", "party", "penalty_date", "amount"],
            },
            ensure_ascii=False,
        ).encode()

    async def token(self) -> str:
        """A new token of the system."""
        with contextlib.redirect_stdout(io.StringIO()):
            await self.life.system.sign_in(self.life.story)
        assert self.life.system.access
        return self.life.system.access

    async def call(self, who: Person, method: str, path: str, **more: Any) -> httpx.Response:
        """Do something in somebody's name. Raises `RuntimeError` when it is refused."""
        headers = {"Authorization": f"Bearer {who.access}"} | more.pop("headers", {})
        answer = await self.client.request(method, path, headers=headers, **more)
        if not answer.is_success:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer


async def build(client: httpx.AsyncClient, administrators: bytes) -> World:
    """Play the life, in silence, until its system may query."""
    rng = random.Random(7)  # noqa: S311 - the same names each time
    known = json.loads(administrators)
    authority, center = (administrator(role, known[role], rng) for role in ("authority", "center"))
    out = Path(tempfile.mkdtemp(prefix="xindun-bench-"))
    life = Life(Story(client), rng, authority, center, out, short_term=None)
    with contextlib.redirect_stdout(io.StringIO()):
        await register(life)
        await join(life)
        await open_resource(life)
        await _open_wide(life)
        await agree(life)
        await obtain(life, life.base["wanted"] | {"quota": QUOTA})
    return World(life, client, {RESOURCE: life.base["grant"]})


async def more_grants(world: World, count: int) -> list[str]:
    """See that there are grants of `count` resources, with the same records in each, and return these resources."""
    life = world.life
    while len(world.grants) < count:
        code = f"{RESOURCE}-{len(world.grants) + 1}"
        resource = {"code": code, "title": code, "fields": FIELDS, "subject_field": "uscc", "name_field": "party"}
        await world.call(life.center, "POST", "/datashare/resources", json=resource)
        csv = {"content": life.records, "headers": {"Content-Type": "text/csv"}}
        await world.call(life.center, "POST", f"/datashare/resources/{code}/records", **csv)
        with contextlib.redirect_stdout(io.StringIO()):
            await _open_wide(life, code)
            await obtain(life, life.base["wanted"] | {"resource": code, "quota": QUOTA})
        world.grants[code] = life.base["grant"]
    return list(world.grants)[:count]


async def _open_wide(life: Life, resource: str = RESOURCE) -> None:
    path = "/datashare/resources/{}/opening"
    headers = {"Authorization": f"Bearer {life.authority.access}"}
    known = (await life.story.client.get(path.format(RESOURCE), headers=headers)).json()
    present = await life.story.client.get(path.format(resource), headers=headers)
    names = ("fields", "purposes", "unit_kinds", "longest_term_days")
    opening = {name: known[name] for name in names} | {"quota": QUOTA, "reason": "规程第十条"}
    headers["If-Match"] = present.headers.get("etag", '"0"')
    answer = await life.story.client.put(path.format(resource), headers=headers, json=opening)
    answer.raise_for_status()
