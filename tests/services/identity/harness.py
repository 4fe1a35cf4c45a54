"""Identity as it runs: on a database of its own, an in-process bus, a clock that tests move; people with real factors."""

import asyncio
import base64
import hashlib
import random
import secrets
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Self

import httpx
import pyotp
from pydantic import SecretStr
from stdnum.cn import ric, uscc

import identity.main
from common.clock import ManualClock
from common.contracts.topics import TOPICS
from common.enforcement.tokens import SigningKey
from common.messaging.events import Envelope
from common.messaging.in_process import InProcessBus
from common.messaging.topics import events_topic
from identity.bootstrap import FirstPeople, bootstrap
from identity.settings import Settings
from identity.training.course import questions, undertaking
from tests.harness.databases import ServiceDatabase

STEP = timedelta(seconds=30)
HERE = "127.0.0.1"
rng = random.Random(20240101)


def id_number() -> str:
    """A valid number of nobody in particular."""
    born = date(1985, 1, 1) + timedelta(days=rng.randrange(5_000))
    body = f"350203{born:%Y%m%d}{rng.randrange(1000):03d}"
    return body + ric.calc_check_digit(body + "0")


def unit_code() -> str:
    body = "11350200" + "".join(rng.choice("0123456789ABCDEFGHJKLMNPQRTUWXY") for _ in range(9))
    return body + uscc.calc_check_digit(body)


class Person:
    """Somebody with an account and both factors."""

    def __init__(self, world: "World", login: str, account_id: str) -> None:
        self.world, self.login, self.id = world, login, account_id
        self.password = "Lychee-" + secrets.token_hex(8)
        self.secret = ""
        self.step = 0
        self.tokens: dict = {}

    def code(self) -> str:
        """A code of a step that was not used yet; the clock goes on where it must."""
        now = self.world.clock.now()
        if int(now.timestamp()) // 30 <= self.step:
            self.world.clock.advance(STEP)
        self.step = int(self.world.clock.now().timestamp()) // 30
        return pyotp.TOTP(self.secret).at(self.step * 30)

    async def activate(self, activation_code: str) -> None:
        client = self.world.client
        answer = await client.post(
            "/identity/activations", json={"login": self.login, "code": activation_code, "password": self.password}
        )
        assert answer.status_code == 201, answer.text
        self.secret = answer.json()["totp_secret"]
        answer = await client.post(
            "/identity/activations/confirm",
            json={"login": self.login, "code": activation_code, "totp": self.code()},
        )
        assert answer.status_code == 200, answer.text

    async def try_sign_in(self, **changed) -> httpx.Response:
        body = {"login": self.login, "password": self.password} | changed
        if "totp" not in body:
            body["totp"] = self.code()
        return await self.world.client.post("/identity/sessions", json=body)

    async def sign_in(self) -> "Person":
        answer = await self.try_sign_in()
        assert answer.status_code == 201, answer.text
        self.tokens = answer.json()
        return self

    async def try_refresh(self, token: str | None = None) -> httpx.Response:
        return await self.world.client.post(
            "/identity/sessions/refresh", json={"refresh_token": token or self.tokens["refresh_token"]}
        )

    async def refresh(self) -> "Person":
        answer = await self.try_refresh()
        assert answer.status_code == 200, answer.text
        self.tokens = answer.json()
        return self

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens['access_token']}"}

    async def get(self, path: str, **more) -> httpx.Response:
        return await self.world.client.get("/identity" + path, headers=self.headers, **more)

    async def post(self, path: str, json=None, **more) -> httpx.Response:
        return await self.world.client.post("/identity" + path, headers=self.headers, json=json, **more)


class World:
    """One identity, bootstrapped."""

    def __init__(self, database: ServiceDatabase) -> None:
        self.clock = ManualClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC))
        self.bus = InProcessBus(TOPICS)
        self.database = database
        self.incident_secret = secrets.token_urlsafe(32)
        self.settings = Settings(
            database_url=SecretStr(database.app),
            signing_key_pem=SecretStr(SigningKey.generate().to_pem()),
            totp_key=SecretStr(base64.b64encode(secrets.token_bytes(32)).decode()),
            pepper=SecretStr(secrets.token_urlsafe(32)),
            incident_client_secret_hash=hashlib.sha256(self.incident_secret.encode()).hexdigest(),
        )
        self.told: list[Envelope] = []
        self.news = asyncio.Condition()
        self.people = 0
        self._ends = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.app = identity.main.create_app(self.settings, self.bus, clock=self.clock)
        self.runtime = self.app.state.runtime
        self._ends.push_async_callback(self.bus.stop)
        await self._ends.enter_async_context(self.app.router.lifespan_context(self.app))
        await self.bus.subscribe("listener", [events_topic("identity")], self._listen)
        await self.bus.start()
        await self.runtime.point.loaded()
        # The key and the first heartbeat come by the outbox.
        assert await self.runtime.point.until(lambda: self.runtime.point.keys.jwks()["keys"], 10)
        async with asyncio.timeout(10):
            while not self.runtime.signing_keys.ready():
                await self.runtime.point.until(lambda: False, 0.02)
        assert await self.runtime.point.until(lambda: self.runtime.point._revoker_seen_at is not None, 10)
        self.client = await self._ends.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://identity.test")
        )
        return self

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()

    async def _listen(self, messages) -> None:
        async with self.news:
            for message in messages:
                envelope = Envelope.model_validate_json(message.value)
                self.told.append(envelope)
            self.news.notify_all()

    async def heard(self, name: str, **members) -> dict:
        """Wait for an event with these members and return its data."""

        def found():
            for envelope in self.told:
                if envelope.type == f"cn.xindun.identity.{name}.v1" and members.items() <= envelope.data.items():
                    return envelope.data
            return None

        async with self.news, asyncio.timeout(5):
            await self.news.wait_for(lambda: found() is not None)
        return found()

    def count(self, name: str, **members) -> int:
        type_ = f"cn.xindun.identity.{name}.v1"
        return sum(1 for e in self.told if e.type == type_ and members.items() <= e.data.items())

    # Who there is

    async def begin(self) -> "World":
        """Bootstrap, and sign both first administrators in."""
        people = FirstPeople.model_validate(
            {role: {"name": "首位管理员", "id_number": id_number()} for role in ("authority", "center")}
        )
        invited = await bootstrap(self.runtime, people)
        for role, view in invited.items():
            person = Person(self, view.login, str(view.account_id))
            await person.activate(view.activation_code)
            setattr(self, role, await person.sign_in())
        return self

    async def unit(self, kind: str = "agency") -> tuple[str, Person]:
        """A using unit with its administrator, signed in."""
        row = f"厦门市某某局{rng.randrange(10**9)},{unit_code()},{kind},municipal,uses"
        answer = await self.upload("name,uscc,kind,level,duties\n" + row + "\n")
        unit_id = answer.json()["registered"][0]["id"]
        answer = await self.center.post("/accounts/administrators", self.invitee() | {"unit_id": unit_id})
        return unit_id, await self.arrive(answer)

    async def upload(self, text: str | bytes) -> httpx.Response:
        return await self.client.post(
            "/identity/units/import", content=text, headers=self.center.headers | {"content-type": "text/csv"}
        )

    def invitee(self) -> dict[str, str]:
        self.people += 1
        return {"name": "王小明", "login": f"person.{self.people}", "id_number": id_number()}

    async def arrive(self, invited: httpx.Response) -> Person:
        assert invited.status_code == 201, invited.text
        body = invited.json()
        person = Person(self, body["login"], body["account_id"])
        await person.activate(body["activation_code"])
        return await person.sign_in()

    async def clerk(self, admin: Person, post: str | None = "credit-clerk", **appointment) -> Person:
        person = await self.arrive(await admin.post("/accounts", self.invitee()))
        if post:
            answer = await self.appoint(admin, person, post, **appointment)
            assert answer.status_code == 201, answer.text
            await person.refresh()
        return person

    async def appoint(self, admin: Person, person: Person, post: str, **more) -> httpx.Response:
        posts = (await admin.get("/posts")).json()["items"]
        post_id = next(row["id"] for row in posts if row["name"] == post)
        return await admin.post("/appointments", {"account_id": person.id, "post_id": post_id} | more)

    async def system(self, admin: Person, origins=(HERE,), *, approve: bool = True) -> dict:
        """A connected system, with its client credentials."""
        answer = await admin.post("/systems", {"name": "接入系统", "origins": list(origins)})
        assert answer.status_code == 201, answer.text
        system = answer.json()
        if approve:
            answer = await self.center.post(f"/systems/{system['id']}/approve")
            assert answer.status_code == 200, answer.text
            answer = await admin.post(f"/systems/{system['id']}/secret")
            assert answer.status_code == 201, answer.text
            system |= answer.json()
        return system

    async def service_token(self, system: dict, **form) -> httpx.Response:
        return await self.client.post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"} | form,
            auth=httpx.BasicAuth(system["client_id"], system["client_secret"]),
        )

    async def with_token(self, token: str, path: str = "/identity/me") -> httpx.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer {token}"})


def right_answers(attempt: dict) -> dict[str, str]:
    return {question["id"]: questions()[question["id"]].answer for question in attempt["questions"]}


async def train(person: Person) -> httpx.Response:
    attempt = (await person.post("/training/attempts")).json()
    return await person.post(f"/training/attempts/{attempt['id']}/answers", {"answers": right_answers(attempt)})


async def undertake(person: Person) -> httpx.Response:
    return await person.post("/undertaking/signatures", {"digest": undertaking().digest})


def slug(answer: httpx.Response) -> str:
    return answer.json()["type"].removeprefix("urn:xindun:problem:")
