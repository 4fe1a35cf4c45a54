"""Real actors on a whole platform, quickly: units, people with both factors, systems, and a grant that both sides signed."""

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pyotp
from stdnum.cn import uscc

from demo.actors import TOTP_STEP
from demo.identifiers import id_number, unit_code
from demo.sample_data import FIELDS
from identity.bootstrap import FirstPeople, bootstrap
from identity.training.course import questions, undertaking
from tests.harness.in_process_platform import HERE, InProcessPlatform

RESOURCE = "administrative-penalties"
PURPOSE = "qualification-review"
SUBJECTS = [body + uscc.calc_check_digit(body) for body in (f"91350200{n:09d}" for n in range(10))]
QUOTA = {"calls": 100_000, "rows": 100_000, "subjects": 1_000}
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
EARLY = timedelta(minutes=2)
"""How long before its end a token is renewed."""


class FlowingClock:
    """The machine's time, moved forward where a test needs a later code of a second factor."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def advance(self, by: timedelta) -> None:
        self.ahead += by


def slug(answer: httpx.Response) -> str | None:
    """Return the slug of a problem, None for anything else."""
    if "json" not in answer.headers.get("content-type", ""):
        return None
    body = answer.json()
    kind = body.get("type") if isinstance(body, dict) else None
    return kind.removeprefix("urn:xindun:problem:") if isinstance(kind, str) else None


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@dataclass
class Person:
    """Somebody with an account."""

    world: "World"
    login: str
    id: str
    unit: str | None = None
    password: str = ""
    secret: str = ""
    step: int = 0
    access: str = ""
    refresh: str = ""
    until: datetime = LONG_AGO

    def code(self) -> str:
        """Return a code of a step that was not used yet: those to either side of now serve, then the clock goes on."""
        now = self.world.clock.now().timestamp()
        self.step = max(int(now) // TOTP_STEP - 1, self.step + 1)
        if (late := (self.step - 1) * TOTP_STEP - now) > 0:
            self.world.clock.advance(timedelta(seconds=late))
        return pyotp.TOTP(self.secret).at(self.step * TOTP_STEP)

    async def begin_activation(self, code: str) -> httpx.Response:
        self.password = f"Lychee-{random.getrandbits(64):016x}"
        answer = await self.world.client.post(
            "/identity/activations", json={"login": self.login, "code": code, "password": self.password}
        )
        if answer.is_success:
            self.secret = answer.json()["totp_secret"]
        return answer

    async def activate(self, code: str) -> "Person":
        answer = await self.begin_activation(code)
        assert answer.status_code == 201, answer.text
        answer = await self.world.client.post(
            "/identity/activations/confirm", json={"login": self.login, "code": code, "totp": self.code()}
        )
        assert answer.status_code == 200, answer.text
        return self

    async def try_sign_in(self) -> httpx.Response:
        body = {"login": self.login, "password": self.password, "totp": self.code()}
        return await self.world.client.post("/identity/sessions", json=body)

    async def sign_in(self) -> "Person":
        return self.keep(await self.try_sign_in(), 201)

    async def try_refresh(self, token: str | None = None) -> httpx.Response:
        return await self.world.client.post("/identity/sessions/refresh", json={"refresh_token": token or self.refresh})

    async def renew(self) -> "Person":
        return self.keep(await self.try_refresh(), 200)

    def keep(self, answer: httpx.Response, status: int) -> "Person":
        assert answer.status_code == status, answer.text
        tokens = answer.json()
        self.access, self.refresh = tokens["access_token"], tokens["refresh_token"]
        self.until = self.world.clock.now() + timedelta(seconds=tokens["expires_in"])
        return self

    async def send(self, method: str, path: str, json: Any = None, **more: Any) -> httpx.Response:
        """Ask as this person, with a token that is not about to end by itself."""
        if self.world.clock.now() + EARLY > self.until:
            await self.renew()
        headers = bearer(self.access) | more.pop("headers", {})
        return await self.world.client.request(method, path, headers=headers, json=json, **more)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("GET", path, **more)

    async def post(self, path: str, json: Any = None, **more: Any) -> httpx.Response:
        return await self.send("POST", path, json, **more)

    async def done(self, path: str, json: Any = None, **more: Any) -> dict[str, Any]:
        """Post, and return the body of the success."""
        answer = await self.post(path, json, **more)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json()
        return body


@dataclass
class System:
    """A connected system of a unit."""

    world: "World"
    id: str
    secret: str
    access: str = ""

    async def try_sign_in(self, client: httpx.AsyncClient | None = None, secret: str | None = None) -> httpx.Response:
        return await (client or self.world.client).post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(self.id, secret or self.secret),
        )

    async def introspect(self, token: str, client: httpx.AsyncClient | None = None) -> httpx.Response:
        """Ask whether a token lives."""
        auth = httpx.BasicAuth(self.id, self.secret)
        return await (client or self.world.client).post("/identity/oauth/introspect", data={"token": token}, auth=auth)

    async def sign_in(self) -> "System":
        answer = await self.try_sign_in()
        assert answer.status_code == 200, answer.text
        self.access = answer.json()["access_token"]
        return self


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


class World:
    """A platform with its first administrators, and makers of everybody else."""

    def __init__(self, platform: InProcessPlatform, clock: FlowingClock) -> None:
        self.platform, self.clock, self.client = platform, clock, platform.client
        self.rng = random.Random(20260301)
        self._number = itertools.count(1)

    async def begin(self) -> "World":
        """Bootstrap, sign the first administrators in, and open a resource with records."""
        people = FirstPeople.model_validate(
            {role: {"name": "首位管理员", "id_number": id_number(self.rng)} for role in ("authority", "center")}
        )
        runtime = self.platform.apps["identity"].state.runtime
        invited = await bootstrap(runtime, people)
        both = []
        for view in invited.values():
            person = Person(self, view.login, str(view.account_id))
            both.append(await (await person.activate(view.activation_code)).sign_in())
        self.authority, self.center = both
        await self._open()
        return self

    async def _open(self) -> None:
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

    def invitee(self) -> dict[str, str]:
        return {"name": "王小明", "login": f"person.{next(self._number)}", "id_number": id_number(self.rng)}

    async def invite(self, admin: Person, **unit: str) -> tuple[Person, str]:
        """Invite somebody into the own unit, or an administrator into `unit_id`; returns the activation code too."""
        path = "/identity/accounts/administrators" if unit else "/identity/accounts"
        body = await admin.done(path, self.invitee() | unit)
        person = Person(self, body["login"], body["account_id"], unit.get("unit_id", admin.unit))
        return person, body["activation_code"]

    async def newcomer(self, admin: Person, **unit: str) -> Person:
        """Somebody signed in who has no post yet; the administrator of `unit_id` has that."""
        person, code = await self.invite(admin, **unit)
        return await (await person.activate(code)).sign_in()

    async def bare_unit(self) -> tuple[str, Person]:
        """A using unit with its administrator."""
        row = f"厦门市某某局{next(self._number)},{unit_code(self.rng)},agency,municipal,uses"
        answer = await self.center.post(
            "/identity/units/import",
            content=f"name,uscc,kind,level,duties\n{row}\n".encode(),
            headers={"content-type": "text/csv"},
        )
        unit = answer.json()["registered"][0]["id"]
        return unit, await self.newcomer(self.center, unit_id=unit)

    async def clerk(self, admin: Person) -> Person:
        """Somebody who is trained, has signed, and is appointed."""
        person = await self.newcomer(admin)
        attempt = await person.done("/identity/training/attempts")
        answers = {question["id"]: questions()[question["id"]].answer for question in attempt["questions"]}
        await person.done(f"/identity/training/attempts/{attempt['id']}/answers", {"answers": answers})
        await person.done("/identity/undertaking/signatures", {"digest": undertaking().digest})
        await self.appoint(admin, person)
        return await person.renew()

    async def appoint(self, admin: Person, person: Person, post: str = "credit-clerk") -> str:
        """Appoint, and return the appointment's id."""
        posts = (await admin.get("/identity/posts")).json()["items"]
        post_id = next(row["id"] for row in posts if row["name"] == post)
        made = await admin.done("/identity/appointments", {"account_id": person.id, "post_id": post_id})
        return str(made["id"])

    async def system(self, admin: Person, origins: Sequence[str] = (f"{HERE}/32",)) -> System:
        """A connected system with a service token."""
        body = {"name": f"接入系统{next(self._number)}", "origins": list(origins)}
        made = await admin.done("/identity/systems", body)
        await self.center.done(f"/identity/systems/{made['id']}/approve")
        secret = await admin.done(f"/identity/systems/{made['id']}/secret")
        return await System(self, made["id"], secret["client_secret"]).sign_in()

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
        """Apply, once datashare has heard of everybody."""
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
        doors = [
            self.client.get("/identity/me", headers=bearer(token)),
            self.client.get("/audit/records", headers=bearer(token)),
            self.platform.direct["identity"].get("/identity/me", headers=bearer(token)),
            self.platform.direct["datashare"].get("/datashare/grants", headers=bearer(token)),
            self.platform.direct["incident"].get("/incident/breaches", headers=bearer(token)),
            self.platform.direct["audit"].get("/audit/records", headers=bearer(token)),
        ]
        answers = await asyncio.gather(*doors)
        return {(a.status_code, slug(a), a.json().get("reason") if slug(a) else None) for a in answers}
