"""Datashare with everything around it that it speaks to: a bus, people and systems with real tokens, a life to play."""

import hashlib
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import httpx
import orjson
from pydantic import SecretStr
from sqlalchemy import func, select, text
from stdnum.cn import uscc

from common.clock import ManualClock
from common.contracts.events import identity
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.contracts.permissions import POSTS, UnitKind
from common.contracts.topics import TOPICS
from common.enforcement.revocation_feed import Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import Envelope
from common.messaging.in_process import InProcessBus
from common.messaging.outbox import outbox
from common.messaging.topics import FEED_TOPIC, events_topic
from datashare.main import create_app
from datashare.settings import Settings
from tests.harness.databases import ServiceDatabase

ISSUER = "https://xindun.local"
OFFICE, ELSEWHERE = "10.20.0.7", "192.0.2.9"
"""An address of the system's registered network, and one outside."""
CODE = "administrative-penalties"
PURPOSE = "tender-review"

RESOURCE: dict[str, Any] = {
    "code": CODE,
    "title": "行政处罚信息",
    "fields": [
        {"name": "uscc", "zh": "统一社会信用代码", "type": "uscc", "required": True, "mask": "code"},
        {"name": "party", "zh": "当事人", "type": "name", "required": True, "mask": "name"},
        {"name": "penalty_date", "zh": "处罚日期", "type": "date", "required": True},
        {"name": "kind", "zh": "处罚类型"},
        {"name": "amount", "zh": "罚没金额", "type": "amount", "mask": "amount-band"},
        {"name": "facts", "zh": "违规事实", "mask": "text-hidden"},
        {"name": "authority", "zh": "处理机构", "type": "organisation"},
        {"name": "legal_basis", "zh": "法律依据"},
    ],
    "subject_field": "uscc",
    "name_field": "party",
}
OPENING: dict[str, Any] = {
    "fields": ["uscc", "party", "penalty_date", "kind", "amount"],
    "purposes": [PURPOSE, "licence-review"],
    "unit_kinds": ["agency"],
    "longest_term_days": 365,
    "quota": {"calls": 100, "rows": 1000, "subjects": 50},
    "reason": "市发改委关于开放行政处罚信息的决定",
}
APPLICATION: dict[str, Any] = {
    "resource": CODE,
    "purposes": [PURPOSE],
    "fields": ["uscc", "party", "penalty_date", "amount"],
    "term_days": 180,
    "reason": "招标资格审查",
}


def subject(number: int) -> str:
    """Return a valid unified social credit code, another for each number."""
    body = f"91350200{number:09d}"
    return body + uscc.calc_check_digit(body)


def csv_of(count: int, start: int = 0) -> bytes:
    rows = ["统一社会信用代码,当事人,处罚日期,处罚类型,罚没金额,违规事实,处理机构,法律依据"]
    rows += [
        f"{subject(n)},某某第{n}公司,2024/3/{n % 28 + 1},罚款,{n * 1000 + 500},未按规定办理,市监局,《办法》第{n}条"
        for n in range(start, start + count)
    ]
    return ("\ufeff" + "\r\n".join(rows) + "\r\n").encode()


class Actor:
    """Somebody or something with a credential; `headers` carry a real token."""

    def __init__(self, world: "World", kind: str, unit: UUID, unit_kind: UnitKind, permissions=(), **claims) -> None:
        self.world, self.kind, self.id = world, kind, claims.pop("id", None) or new_id()
        self.unit, self.unit_kind = unit, unit_kind
        token = world.token(f"{kind}:{self.id}", unit, unit_kind, permissions, **claims)
        self.headers = {"authorization": f"Bearer {token}"}

    async def send(
        self, method: str, path: str, body: Any = None, *, origin: str = OFFICE, **headers
    ) -> httpx.Response:
        client = self.world.client_from(origin)
        headers = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, f"/datashare{path}", json=body, headers=headers)

    async def get(self, path: str, **more) -> httpx.Response:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more) -> httpx.Response:
        return await self.send("POST", path, body, **more)


class World:
    """One city: the authority, the center, two units; time stands until it is moved."""

    def __init__(self, database: ServiceDatabase, clock: ManualClock | None = None) -> None:
        self.database = database
        self.clock = clock or ManualClock()
        self.bus = InProcessBus(TOPICS)
        self.key = SigningKey.generate()
        self.settings = Settings(database_url=SecretStr(database.app), environment="development", pool_size=20)
        self.app = create_app(self.settings, self.bus, clock=self.clock)
        self.runtime = self.app.state.runtime
        self.sequences: dict[str, int] = defaultdict(int)
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._ends = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._ends.enter_async_context(self.app.router.lifespan_context(self.app))
        await self.bus.start()
        self._ends.push_async_callback(self.bus.stop)
        entries = (VerificationKey(kid=self.key.kid, jwk=self.key.public_jwk), Heartbeat(at=self.clock.now()))
        await self.bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])
        await self.runtime.point.loaded()
        await self.runtime.point.until(lambda: self.runtime.point.key_generation > 0, 5)
        await self._people()
        return self

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()

    async def _people(self) -> None:
        authority, center = new_id(), new_id()
        self.authority = self.person(authority, UnitKind.AUTHORITY, "authority-officer")
        self.authority2 = self.person(authority, UnitKind.AUTHORITY, "authority-officer")
        self.center = self.person(center, UnitKind.CENTER, "center-officer")
        self.unit, self.other_unit = new_id(), new_id()
        self.admin = self.person(self.unit, UnitKind.AGENCY, "unit-administrator")
        self.clerk = self.person(self.unit, UnitKind.AGENCY, "credit-clerk")
        self.stranger = self.person(self.other_unit, UnitKind.AGENCY, "credit-clerk")
        self.stranger_admin = self.person(self.other_unit, UnitKind.AGENCY, "unit-administrator")
        self.system = Actor(self, "system", self.unit, UnitKind.AGENCY, ["credit-data.query"])
        for unit, name in ((self.unit, "市住房局"), (self.other_unit, "市交通局")):
            await self.say(
                identity.UnitRegistered(
                    unit_id=unit, kind=UnitKind.AGENCY, level="city", name=name, uscc=subject(1), duties=["uses"]
                )
            )
        for person in (self.admin, self.clerk, self.stranger, self.stranger_admin):
            await self.say(identity.AccountActivated(account_id=person.id, unit_id=person.unit))

    def person(self, unit: UUID, kind: UnitKind, post: str) -> Actor:
        return Actor(self, "account", unit, kind, POSTS[kind][post])

    def probe(self, subject: Actor, order_id: UUID) -> Actor:
        return Actor(self, subject.kind, subject.unit, subject.unit_kind, (), id=subject.id, probe=str(order_id))

    def token(self, subject: str, unit: UUID, kind: UnitKind, permissions=(), **more) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": "xindun",
            "sub": subject,
            "epc": 0,
            "unit": str(unit),
            "uknd": kind.value,
            "uepc": 0,
            "perms": list(permissions),
            "jti": str(new_id()),
            "iat": now,
            "nbf": now,
            "exp": now + 10 * 366 * 86_400,
        }
        return sign(self.key, claims | more)

    def client_from(self, origin: str) -> httpx.AsyncClient:
        if origin not in self._clients:
            transport = httpx.ASGITransport(app=self.app, client=(origin, 40_000))
            client = httpx.AsyncClient(transport=transport, base_url="http://datashare.test", timeout=60)
            self._ends.push_async_callback(client.aclose)
            self._clients[origin] = client
        return self._clients[origin]

    # What others say, and what datashare says

    def message(self, event) -> Message:
        self.sequences[event.publisher] += 1
        envelope = Envelope(
            id=new_id(),
            source=f"/{event.publisher}",
            type=event.type,
            subject=event.key,
            time=self.clock.now(),
            sequence=self.sequences[event.publisher],
            data=event.model_dump(mode="json"),
        )
        return Message(events_topic(event.publisher), event.key, envelope.to_bytes())

    async def say(self, *events) -> None:
        for event in events:
            await self.bus.publish([self.message(event)])

    async def told(self, name: str) -> list[dict[str, Any]]:
        """Return the data of what datashare said under this name, in order."""
        async with self.runtime.database.transaction() as session:
            bodies = await session.scalars(select(outbox.c.body).order_by(outbox.c.id))
            envelopes = [orjson.loads(body) for body in bodies]
        return [e["data"] for e in envelopes if e["type"] == f"cn.xindun.datashare.{name}.v1"]

    async def count(self, table: str, where: str = "true") -> int:
        async with self.runtime.database.transaction() as session:
            return await session.scalar(select(func.count()).select_from(text(table)).where(text(where)))

    # The life, step by step

    async def load(self, content: bytes, code: str = CODE) -> httpx.Response:
        return await self.client_from(OFFICE).post(
            f"/datashare/resources/{code}/records",
            content=content,
            headers=self.center.headers | {"content-type": "text/csv"},
        )

    async def opened(self, rows: int = 20, **opening) -> None:
        """The resource is registered, loaded and opened."""
        made = await self.center.post("/resources", RESOURCE)
        assert made.status_code == 201, made.text
        if rows:
            assert (await self.load(csv_of(rows))).status_code == 200
        put = await self.authority.send("PUT", f"/resources/{CODE}/opening", OPENING | opening)
        assert put.status_code == 200, put.text

    async def reopened(self, **opening) -> httpx.Response:
        current = await self.authority.get(f"/resources/{CODE}/opening")
        return await self.authority.send(
            "PUT", f"/resources/{CODE}/opening", OPENING | opening, if_match=current.headers["etag"]
        )

    async def ready_unit(self) -> None:
        """Rules on file, system approved, clerk trained, bound and appointed."""
        filed = await self.admin.post("/data-rules", {"title": "数据安全管理细则", "digest": "a" * 64})
        assert filed.status_code == 201, filed.text
        system = {"system_id": self.system.id, "unit_id": self.unit, "name": "招投标系统", "origins": ["10.20.0.0/24"]}
        await self.say(
            identity.SystemRegistered(**system, responsible=self.admin.id), identity.SystemApproved(**system)
        )
        await self.trained()
        await self.bound()
        await self.appointed()

    async def trained(self) -> None:
        until = self.clock.now() + timedelta(days=300)
        await self.say(
            identity.TrainingPassed(account_id=self.clerk.id, unit_id=self.unit, score=100, valid_until=until)
        )

    async def bound(self) -> None:
        await self.say(identity.UndertakingSigned(account_id=self.clerk.id, unit_id=self.unit, digest="b" * 64))

    async def appointed(self) -> UUID:
        appointment = new_id()
        await self.say(
            identity.AppointmentMade(
                appointment_id=appointment,
                account_id=self.clerk.id,
                unit_id=self.unit,
                post_id=new_id(),
                post="credit-clerk",
                permissions=["applications.apply", "credit-data.query"],
            )
        )
        return appointment

    async def applied(self, **more) -> str:
        answer = await self.clerk.post("/applications", APPLICATION | {"systems": [str(self.system.id)]} | more)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    async def advised(self, application: str) -> None:
        answer = await self.center.post(
            f"/applications/{application}/advice", {"advice": "support", "reason": "符合规定"}
        )
        assert answer.status_code == 201, answer.text

    async def approved(self, application: str) -> str:
        answer = await self.authority.post(
            f"/applications/{application}/decision", {"decision": "approved", "reason": "同意"}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["agreement_id"]

    async def signed(self, agreement: str, *signers: Actor) -> dict[str, Any]:
        read = (await self.admin.get(f"/agreements/{agreement}")).json()
        for signer in signers or (self.authority, self.admin):
            answer = await signer.post(f"/agreements/{agreement}/signatures", {"digest": read["digest"]})
            assert answer.status_code == 201, answer.text
        return answer.json()

    async def granted(self, **application) -> str:
        """From application to active grant; return the grant's id."""
        made = await self.applied(**application)
        await self.advised(made)
        agreement = await self.signed(await self.approved(made))
        assert agreement["state"] == "in-force"
        return agreement["grant_id"]

    async def all_ready(self, rows: int = 20, opening: dict[str, Any] | None = None, **application) -> str:
        await self.opened(rows, **(opening or {}))
        await self.ready_unit()
        return await self.granted(**application)

    def asked(self, number: int = 3, **more) -> dict[str, Any]:
        return {
            "resource": CODE,
            "purpose": PURPOSE,
            "case_number": "厦招〔2026〕17号",
            "subject": {"uscc": subject(number)},
        } | more

    async def query(self, number: int = 3, by: Actor | None = None, *, origin: str = OFFICE, **more) -> httpx.Response:
        return await (by or self.system).post("/queries", self.asked(number, **more), origin=origin)

    async def order(self, kind: str, target: UUID | str) -> UUID:
        order_id = new_id()
        await self.say(
            ContainmentOrdered(
                order_id=order_id,
                incident_id=new_id(),
                executor="datashare",
                measure="suspend-grants",
                target_kind=kind,
                target_id=target,
                ordered_at=self.clock.now(),
            )
        )
        return order_id

    async def lift(self, order_id: UUID) -> None:
        await self.say(
            ContainmentLifted(
                order_id=order_id,
                incident_id=new_id(),
                executor="datashare",
                proposed_by=new_id(),
                approved_by=new_id(),
            )
        )


def mark(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()


def problem(answer: httpx.Response) -> str:
    """Return the slug of a refusal."""
    return answer.json()["type"].removeprefix("urn:xindun:problem:")
