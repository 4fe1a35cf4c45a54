"""Datashare with a city around it: people and systems with tokens, and each step from opening to grant."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from common.clock import ManualClock
from common.contracts.events import identity
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from datashare.main import create_app
from datashare.settings import Settings
from tests.harness.databases import ServiceDatabase
from tests.harness.identifiers import company_code
from tests.harness.service import Actor, ServiceHarness

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


def csv_of(count: int, start: int = 0) -> bytes:
    rows = ["统一社会信用代码,当事人,处罚日期,处罚类型,罚没金额,违规事实,处理机构,法律依据"]
    rows += [
        f"{company_code(n)},某某第{n}公司,2024/3/{n % 28 + 1},罚款,{n * 1000 + 500},未按规定办理,市监局,《办法》第{n}条"
        for n in range(start, start + count)
    ]
    return ("\ufeff" + "\r\n".join(rows) + "\r\n").encode()


class DatashareHarness(ServiceHarness):
    """One city: the authority, the center, two units; time stands until it is moved."""

    name = "datashare"
    address = OFFICE
    token_term = 10 * 366 * 86_400

    def __init__(self, database: ServiceDatabase, clock: ManualClock | None = None) -> None:
        settings = Settings(database_url=SecretStr(database.app), environment="development", pool_size=20)
        super().__init__(database, settings, clock)

    def create_app(self) -> FastAPI:
        return create_app(self.settings, self.bus, clock=self.clock)

    async def start_surroundings(self) -> None:
        await super().start_surroundings()
        authority, center = new_id(), new_id()
        self.authority = self.officer(authority, UnitKind.AUTHORITY, "authority-officer")
        self.authority2 = self.officer(authority, UnitKind.AUTHORITY, "authority-officer")
        self.center = self.officer(center, UnitKind.CENTER, "center-officer")
        self.unit, self.other_unit = new_id(), new_id()
        self.admin = self.officer(self.unit, post="unit-administrator")
        self.clerk = self.officer(self.unit)
        self.stranger = self.officer(self.other_unit)
        self.stranger_admin = self.officer(self.other_unit, post="unit-administrator")
        self.system = Actor(self, "system", self.unit, UnitKind.AGENCY, ["credit-data.query"])
        for unit, name in ((self.unit, "市住房局"), (self.other_unit, "市交通局")):
            await self.publish(
                identity.UnitRegistered(
                    unit_id=unit, kind=UnitKind.AGENCY, level="city", name=name, uscc=company_code(1), duties=["uses"]
                )
            )
        for person in (self.admin, self.clerk, self.stranger, self.stranger_admin):
            await self.publish(identity.AccountActivated(account_id=person.id, unit_id=person.unit))

    def probe(self, subject: Actor, order_id: UUID) -> Actor:
        return Actor(self, subject.kind, subject.unit, subject.unit_kind, (), id=subject.id, probe=str(order_id))

    # The scenario, step by step

    async def load(self, content: bytes, code: str = CODE) -> httpx.Response:
        return await self.client.post(
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
        await self.publish(
            identity.SystemRegistered(**system, responsible=self.admin.id), identity.SystemApproved(**system)
        )
        await self.trained()
        await self.bound()
        await self.appointed()

    async def trained(self) -> None:
        until = self.clock.now() + timedelta(days=300)
        await self.publish(
            identity.TrainingPassed(account_id=self.clerk.id, unit_id=self.unit, score=100, valid_until=until)
        )

    async def bound(self) -> None:
        await self.publish(identity.UndertakingSigned(account_id=self.clerk.id, unit_id=self.unit, digest="b" * 64))

    async def appointed(self) -> UUID:
        appointment = new_id()
        await self.publish(
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
            "subject": {"uscc": company_code(number)},
        } | more

    async def query(
        self, number: int = 3, by: Actor | None = None, *, address: str | None = None, **more
    ) -> httpx.Response:
        return await (by or self.system).post("/queries", self.asked(number, **more), address=address)

    async def order(self, kind: str, target: UUID | str) -> UUID:
        order_id = new_id()
        await self.publish(
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
        await self.publish(
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
