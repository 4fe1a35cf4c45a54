"""Audit on a bus, with producers that number their events, and readers with tokens."""

import io
import zipfile
from datetime import UTC, datetime

import asyncpg
import httpx
import orjson
from fastapi import FastAPI
from pydantic import SecretStr

from audit.fsck.check import check
from audit.main import create_app
from audit.settings import Settings
from audit.tlog.signed_notes import Signer, generate_signer
from common.clock import SystemClock
from common.enforcement.permissions import UnitKind
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import PREFIX, Envelope
from common.messaging.topics import events_topic
from common.storage.database import Database
from tests.harness.databases import ServiceDatabase
from tests.harness.service import ServiceHarness

ORIGIN = "log.test/audit"


class AuditHarness(ServiceHarness):
    name = "audit"
    token_term = 100_000

    def __init__(self, database: ServiceDatabase, clock=None, signer: Signer | None = None, **settings) -> None:
        self.signer = signer or generate_signer(ORIGIN)
        made = Settings(
            database_url=SecretStr(database.app),
            log_key=SecretStr(self.signer.private_text()),
            log_origin=ORIGIN,
            environment="development",
            **settings,
        )
        super().__init__(database, made, clock or SystemClock())

    def create_app(self) -> FastAPI:
        return create_app(self.settings, self.bus, clock=self.clock)

    async def start_surroundings(self) -> None:
        await super().start_surroundings()
        self.authority = self.officer(None, UnitKind.AUTHORITY, "authority-officer").headers
        self.center = self.officer(None, UnitKind.CENTER, "center-officer").headers
        self.clerk = self.officer().headers

    @property
    def sequencer(self):
        return self.runtime.sequencer

    @property
    def producers(self):
        return self.runtime.producers

    def message(self, source="/identity", *, number=None, topic=None, name="account.revoked", **more) -> Message:
        if number is None:
            self.sequences[source] += 1
            number = self.sequences[source]
        publisher = source.split("/")[1]
        members = {
            "id": new_id(),
            "source": source,
            "type": f"{PREFIX}.{publisher}.{name}.v1",
            "subject": "a-1",
            "time": datetime(2026, 1, 5, tzinfo=UTC),
            "sequence": number,
            "actor": "account:1",
            "requestid": f"request-{number}",
            "data": {"note": "数据"},
        } | more
        return Message(events_topic(topic or publisher), members["subject"], Envelope(**members).to_bytes())

    def messages(self, count: int, source="/identity") -> list[Message]:
        return [self.message(source, subject=f"a-{n % 7}") for n in range(count)]

    def beat(self, source="/identity", number=0) -> Message:
        return self.message(source, number=number, name="heartbeat")

    async def deliver(self, *messages: Message) -> None:
        await self.sequencer.deliver(messages)

    async def bodies(self) -> list[bytes]:
        rows = await self.sql("SELECT index, body FROM leaves ORDER BY index")
        assert [row["index"] for row in rows] == list(range(len(rows)))
        return [row["body"] for row in rows]

    async def bodies_of_others(self) -> list[bytes]:
        """Return the entries without those of audit itself, which publishes every rejection."""
        return [body for body in await self.bodies() if b'"source":"/audit"' not in body]

    async def sql(self, query: str, *arguments, as_app: bool = False, free: str | None = None):
        """Ask as the superuser (or the serving role); `free`: the table whose wall is down for this one query."""
        dsn = self.database.app.replace("postgresql+asyncpg", "postgresql") if as_app else self.database.admin_dsn
        connection = await asyncpg.connect(dsn)
        try:
            async with connection.transaction():
                if free:
                    await connection.execute(f"ALTER TABLE {free} DISABLE TRIGGER refuse_change")
                rows = await connection.fetch(query, *arguments)
                if free:
                    await connection.execute(f"ALTER TABLE {free} ENABLE ALWAYS TRIGGER refuse_change")
                return rows
        finally:
            await connection.close()

    async def fsck(self):
        database = Database(self.database.app, pool_size=1)
        try:
            return await check(database, self.signer.verifier)
        finally:
            await database.close()

    async def get(self, path: str, who=None, **params):
        return await self.client.get(f"/audit/{path}", headers=who or {}, params=params or None)

    async def read(self, path: str, who=None, **params):
        answer = await self.get(path, who or self.authority, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def export(self, scope=None, who=None) -> httpx.Response:
        body = {"purpose": "案件 7 取证"} | ({"scope": scope} if scope else {})
        return await self.client.post("/audit/evidence", json=body, headers=who or self.authority)


def unpack(data: bytes, root):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        archive.extractall(root)
    return root


def parsed(message: Message) -> dict:
    return orjson.loads(message.value)
