"""People and systems that hold real credentials of identity, and the ways by which they come to have them."""

import itertools
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx
import pyotp

from identity.bootstrap import FirstPeople, bootstrap
from identity.runtime import Runtime
from identity.training.course import questions, undertaking
from tests.harness.client import HERE, bearer
from tests.harness.identifiers import id_number, unit_code

TOTP_STEP = 30
"""Seconds."""
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
REFRESH_BEFORE = timedelta(minutes=2)
"""How long before its end a token is refreshed."""


class MovableClock(Protocol):
    def now(self) -> datetime: ...

    def advance(self, by: timedelta) -> None: ...


@dataclass
class Person:
    """A person with an account and both factors."""

    people: "People"
    login: str
    id: str
    unit: str | None = None
    password: str = field(default_factory=lambda: f"Lychee-{secrets.token_hex(8)}")
    secret: str = ""
    step: int = 0
    tokens: dict[str, Any] = field(default_factory=dict)
    until: datetime = LONG_AGO

    @property
    def access_token(self) -> str:
        return str(self.tokens["access_token"])

    @property
    def refresh_token(self) -> str:
        return str(self.tokens["refresh_token"])

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.access_token)

    def code(self) -> str:
        """Return a code of a step that was not used yet: those to either side of now serve, then the clock goes on."""
        now = self.people.clock.now().timestamp()
        self.step = max(int(now) // TOTP_STEP - 1, self.step + 1)
        if (ahead := (self.step - 1) * TOTP_STEP - now) > 0:
            self.people.clock.advance(timedelta(seconds=ahead))
        return pyotp.TOTP(self.secret).at(self.step * TOTP_STEP)

    async def begin_activation(self, code: str) -> httpx.Response:
        body = {"login": self.login, "code": code, "password": self.password}
        answer = await self.people.client.post("/identity/activations", json=body)
        if answer.is_success:
            self.secret = answer.json()["totp_secret"]
        return answer

    async def activate(self, code: str) -> "Person":
        answer = await self.begin_activation(code)
        assert answer.status_code == 201, answer.text
        body = {"login": self.login, "code": code, "totp": self.code()}
        answer = await self.people.client.post("/identity/activations/confirm", json=body)
        assert answer.status_code == 200, answer.text
        return self

    async def try_sign_in(self, **changed: str) -> httpx.Response:
        body = {"login": self.login, "password": self.password} | changed
        if "totp" not in body:
            body["totp"] = self.code()
        return await self.people.client.post("/identity/sessions", json=body)

    async def sign_in(self) -> "Person":
        return self.keep(await self.try_sign_in(), 201)

    async def try_refresh(self, token: str | None = None) -> httpx.Response:
        body = {"refresh_token": token or self.refresh_token}
        return await self.people.client.post("/identity/sessions/refresh", json=body)

    async def refresh(self) -> "Person":
        return self.keep(await self.try_refresh(), 200)

    def keep(self, answer: httpx.Response, status: int) -> "Person":
        """Use the tokens of an answer from now on."""
        assert answer.status_code == status, answer.text
        self.tokens = answer.json()
        self.until = self.people.clock.now() + timedelta(seconds=self.tokens["expires_in"])
        return self

    async def send(
        self, method: str, path: str, json: Any = None, *, headers: Mapping[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        if self.people.refreshes and self.people.clock.now() + REFRESH_BEFORE > self.until:
            await self.refresh()
        sent = self.headers | dict(headers or {})
        return await self.people.client.request(method, self.people.path(path), headers=sent, json=json, **more)

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

    people: "People"
    id: str
    secret: str
    access_token: str = ""

    async def try_sign_in(self, client: httpx.AsyncClient | None = None, secret: str | None = None) -> httpx.Response:
        return await (client or self.people.client).post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(self.id, secret or self.secret),
        )

    async def introspect(self, token: str, client: httpx.AsyncClient | None = None) -> httpx.Response:
        """Ask whether a token is active."""
        auth = httpx.BasicAuth(self.id, self.secret)
        return await (client or self.people.client).post("/identity/oauth/introspect", data={"token": token}, auth=auth)

    async def sign_in(self) -> "System":
        answer = await self.try_sign_in()
        assert answer.status_code == 200, answer.text
        self.access_token = answer.json()["access_token"]
        return self


class People:
    """Makes everybody else out of the first administrators; `client` reaches identity, itself or behind the gateway."""

    client: httpx.AsyncClient
    clock: MovableClock
    authority: Person
    center: Person
    refreshes = False
    """Whether persons refresh tokens that are about to expire."""

    def __init__(self, seed: int = 20260301) -> None:
        self.rng = random.Random(seed)
        self._number = itertools.count(1)

    def path(self, path: str) -> str:
        return path

    async def bootstrap(self, runtime: Runtime) -> None:
        """Invite the first administrators as the one-time command does, and sign them in."""
        people = FirstPeople.model_validate(
            {role: {"name": "首位管理员", "id_number": id_number(self.rng)} for role in ("authority", "center")}
        )
        invited = await bootstrap(runtime, people)
        await self.admit_administrators({role: view.model_dump(mode="json") for role, view in invited.items()})

    async def admit_administrators(self, invited: Mapping[str, Mapping[str, str]]) -> None:
        for role in ("authority", "center"):
            setattr(self, role, await self.admit(invited[role]))

    async def admit(self, invited: Mapping[str, Any], unit: str | None = None) -> Person:
        """Activate the account of an invitation, and sign in."""
        person = Person(self, invited["login"], invited["account_id"], unit)
        return await (await person.activate(invited["activation_code"])).sign_in()

    def invitee(self) -> dict[str, str]:
        return {"name": "王小明", "login": f"person.{next(self._number)}", "id_number": id_number(self.rng)}

    async def invite(self, admin: Person, **unit: str) -> dict[str, Any]:
        """Invite a person into the unit of `admin`, or an administrator into `unit_id`."""
        path = "/identity/accounts/administrators" if unit else "/identity/accounts"
        return await admin.done(path, self.invitee() | unit)

    async def newcomer(self, admin: Person, **unit: str) -> Person:
        """A person signed in who has no post yet; the administrator of `unit_id` has that."""
        return await self.admit(await self.invite(admin, **unit), unit.get("unit_id", admin.unit))

    async def import_units(self, content: str | bytes) -> httpx.Response:
        headers = {"content-type": "text/csv"}
        return await self.center.post("/identity/units/import", content=content, headers=headers)

    async def bare_unit(self, kind: str = "agency") -> tuple[str, Person]:
        """A using unit with its administrator."""
        row = f"厦门市某某局{next(self._number)},{unit_code(self.rng)},{kind},municipal,uses"
        answer = await self.import_units(f"name,uscc,kind,level,duties\n{row}\n")
        unit = answer.json()["registered"][0]["id"]
        return unit, await self.newcomer(self.center, unit_id=unit)

    async def appoint(self, admin: Person, person: Person, post: str = "credit-clerk", **more: Any) -> httpx.Response:
        posts = (await admin.get("/identity/posts")).json()["items"]
        post_id = next(row["id"] for row in posts if row["name"] == post)
        return await admin.post("/identity/appointments", {"account_id": person.id, "post_id": post_id} | more)

    async def clerk(
        self, admin: Person, post: str = "credit-clerk", *, trained: bool = False, **appointment: Any
    ) -> Person:
        """A person with a post, and where wanted with training and undertaking."""
        person = await self.newcomer(admin)
        if trained:
            for answer in (await train(person), await undertake(person)):
                assert answer.is_success, answer.text
        answer = await self.appoint(admin, person, post, **appointment)
        assert answer.status_code == 201, answer.text
        return await person.refresh()

    async def register_system(
        self, admin: Person, origins: Sequence[str] = (HERE,), *, approve: bool = True
    ) -> dict[str, Any]:
        """A connected system, with its secret where it is approved."""
        body = {"name": f"接入系统{next(self._number)}", "origins": list(origins)}
        system = await admin.done("/identity/systems", body)
        if approve:
            await self.center.done(f"/identity/systems/{system['id']}/approve")
            system |= await admin.done(f"/identity/systems/{system['id']}/secret")
        return system

    async def system(self, admin: Person, origins: Sequence[str] = (HERE,)) -> System:
        """A connected system with a service token."""
        made = await self.register_system(admin, origins)
        return await System(self, made["id"], made["client_secret"]).sign_in()


def right_answers(attempt: dict[str, Any]) -> dict[str, str]:
    return {question["id"]: questions()[question["id"]].answer for question in attempt["questions"]}


async def train(person: Person) -> httpx.Response:
    attempt = await person.done("/identity/training/attempts")
    path = f"/identity/training/attempts/{attempt['id']}/answers"
    return await person.post(path, {"answers": right_answers(attempt)})


async def undertake(person: Person) -> httpx.Response:
    return await person.post("/identity/undertaking/signatures", {"digest": undertaking().digest})
