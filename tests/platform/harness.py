"""A whole platform with people on it: units, persons with both factors, systems, and grants that both sides signed."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from demo.sample_data import FIELDS
from tests.harness.client import bearer, slug
from tests.harness.identifiers import company_code
from tests.harness.in_process_platform import InProcessPlatform
from tests.harness.people import People, Person, System

RESOURCE = "administrative-penalties"
PURPOSE = "qualification-review"
SUBJECTS = [company_code(number) for number in range(10)]
QUOTA = {"calls": 100_000, "rows": 100_000, "subjects": 1_000}


class FlowingClock:
    """The machine's time, moved forward where a test needs a later code of a second factor."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, by: timedelta) -> None:
        self.ahead += by


@dataclass
class Unit:
    """A using unit with who is in it, and what it was granted."""

    id: str
    admin: Person
    clerk: Person
    system: System
    application: str = ""
    agreement: str = ""
    grant: str = ""
    things: dict[str, str] = field(default_factory=dict)


class PlatformHarness(People):
    """A platform with its first administrators and an open resource."""

    refreshes = True

    def __init__(self, platform: InProcessPlatform, clock: FlowingClock) -> None:
        super().__init__()
        self.platform, self.clock, self.client = platform, clock, platform.client

    async def begin(self) -> "PlatformHarness":
        await self.bootstrap(self.platform.apps["identity"].state.runtime)
        await self.open_resource()
        return self

    async def open_resource(self) -> None:
        definition = {"code": RESOURCE, "title": "行政处罚信息", "fields": FIELDS, "subject_field": "uscc"}
        await self.center.done("/datashare/resources", definition | {"name_field": "party"})
        rows = ["uscc,party,penalty_date,kind,amount,facts,authority,legal_basis"]
        rows += [
            f"{code},某某第{n}公司,2024-03-{n + 1:02d},罚款,{n}000,未按规定办理,市监局,依法"
            for n, code in enumerate(SUBJECTS)
        ]
        answer = await self.center.post(
            f"/datashare/resources/{RESOURCE}/records",
            content="\n".join(rows).encode(),
            headers={"content-type": "text/csv"},
        )
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == 0
        opening = {
            "fields": ["uscc", "party", "penalty_date", "amount"],
            "purposes": [PURPOSE],
            "unit_kinds": ["agency"],
            "longest_term_days": 365,
            "quota": QUOTA,
            "reason": "规程第十条",
        }
        headers = {"if-match": '"0"'}
        answer = await self.authority.send("PUT", f"/datashare/resources/{RESOURCE}/opening", opening, headers=headers)
        assert answer.status_code == 200, answer.text

    async def clerk(self, admin: Person, post: str = "credit-clerk", **appointment: Any) -> Person:
        """A person who is trained, has signed, and is appointed."""
        return await super().clerk(admin, post, trained=True, **appointment)

    async def unit(self, *, quota: dict[str, int] | None = None) -> Unit:
        """A using unit with administrator, clerk and system, and a grant under which they query."""
        unit_id, admin = await self.bare_unit()
        clerk, system = await self.clerk(admin), await self.system(admin)
        unit = Unit(unit_id, admin, clerk, system)
        await admin.done(
            "/datashare/data-rules", {"title": "数据安全管理细则", "text": "专人专岗，最小授权，留痕可查。" * 3}
        )
        unit.application = await self.apply(unit, quota)
        await self.advise(unit.application)
        unit.agreement = (await self.decide(unit.application))["agreement_id"]
        unit.grant = await self.sign(unit)
        await self.platform.settle()
        return unit

    async def apply(self, unit: Unit, quota: dict[str, int] | None = None) -> str:
        """Apply, once datashare has received all events."""
        await self.platform.settle()
        wanted = {
            "resource": RESOURCE,
            "purposes": [PURPOSE],
            "fields": ["uscc", "party", "amount"],
            "systems": [unit.system.id],
            "term_days": 180,
            "quota": quota or QUOTA,
            "reason": "行政许可资格核查",
        }
        return str((await unit.clerk.done("/datashare/applications", wanted))["id"])

    async def advise(self, application: str) -> None:
        advice = {"advice": "support", "reason": "用途明确"}
        await self.center.done(f"/datashare/applications/{application}/advice", advice)

    async def decide(self, application: str) -> dict[str, Any]:
        decision = {"decision": "approved", "reason": "同意使用"}
        return await self.authority.done(f"/datashare/applications/{application}/decision", decision)

    async def sign(self, unit: Unit) -> str:
        """Sign for both sides, and return the grant."""
        path = f"/datashare/agreements/{unit.agreement}"
        digest = {"digest": (await unit.admin.get(path)).json()["digest"]}
        await unit.admin.done(f"{path}/signatures", digest)
        return str((await self.authority.done(f"{path}/signatures", digest))["grant_id"])

    def asked(self, unit: Unit, **changed: Any) -> dict[str, Any]:
        """The body of a query under the unit's grant."""
        return {
            "grant_id": unit.grant,
            "purpose": PURPOSE,
            "case_number": f"厦审〔2026〕{next(self._number)}号",
            "subject": {"uscc": SUBJECTS[0]},
        } | changed

    async def query(
        self, unit: Unit, token: str, client: httpx.AsyncClient | None = None, **changed: Any
    ) -> httpx.Response:
        body = self.asked(unit, **changed)
        return await (client or self.client).post("/datashare/queries", json=body, headers=bearer(token))

    def breach(self, **scope: list[str]) -> dict[str, Any]:
        return {
            "kind": "leak",
            "description": "导出的信息疑似外泄",
            "occurred_at": None,
            "detected_at": (self.clock.now() - timedelta(minutes=1)).isoformat(),
            "scope": scope,
        }

    async def refused_by_all(self, token: str) -> set[tuple[int, str | None, str | None]]:
        """Show a token to the gateway and, past it, to each service; return the different answers."""
        requests = [
            self.client.get("/identity/me", headers=bearer(token)),
            self.client.get("/audit/records", headers=bearer(token)),
            self.platform.direct["identity"].get("/identity/me", headers=bearer(token)),
            self.platform.direct["datashare"].get("/datashare/grants", headers=bearer(token)),
            self.platform.direct["incident"].get("/incident/breaches", headers=bearer(token)),
            self.platform.direct["audit"].get("/audit/records", headers=bearer(token)),
        ]
        answers = await asyncio.gather(*requests)
        return {(a.status_code, slug(a), a.json().get("reason") if slug(a) else None) for a in answers}
