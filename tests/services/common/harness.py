"""The toy service with a bus that fails on demand."""

import asyncio
from datetime import timedelta

from fastapi import FastAPI
from pydantic import SecretStr

from common.contracts.topics import TOPICS
from common.ids import new_id
from common.messaging.bus import BusUnavailable, Message
from common.messaging.events import Envelope
from common.messaging.in_process import InProcessBus
from common.messaging.topics import events_topic, receipts_topic
from common.settings import ServiceSettings
from tests.harness.client import bearer
from tests.harness.databases import ServiceDatabase
from tests.harness.service import ServiceHarness
from tests.services.common.toy.main import create_app


class Bus(InProcessBus):
    """The in-process bus, which can also be away, be frozen, lose what it took, and remembers what it held."""

    def __init__(self) -> None:
        super().__init__(TOPICS)
        self.away = False
        self.forgets = False
        self.frozen: asyncio.Event | None = None
        self.entered = asyncio.Event()
        self.inside = 0
        self.tried: list[list[Message]] = []
        self.held: list[Message] = []

    async def publish(self, messages) -> None:
        mine = [m for m in messages if m.topic != receipts_topic("toy")]
        if not mine:
            await super().publish(messages)
            return
        self.tried.append(mine)
        if self.away:
            raise BusUnavailable
        if self.frozen:
            self.entered.set()
            self.inside += 1
            try:
                await self.frozen.wait()
            finally:
                self.inside -= 1
        await super().publish(messages)
        self.held += mine
        if self.forgets:
            raise BusUnavailable  # held, but the publisher never learns it

    def events(self, publisher: str = "toy") -> list[Envelope]:
        """What was held, except heartbeats."""
        found = [Envelope.model_validate_json(m.value) for m in self.held if m.topic == events_topic(publisher)]
        return [envelope for envelope in found if not envelope.type.endswith("heartbeat.v1")]


class ToyHarness(ServiceHarness):
    name = "toy"

    def __init__(self, database: ServiceDatabase, **settings) -> None:
        self.tokens: list[str] = []
        made = ServiceSettings(database_url=SecretStr(database.app), environment="development", **settings)
        super().__init__(database, made, bus=Bus())
        self.point = self.runtime.point
        self.inbox = self.runtime.inbox

    def create_app(self) -> FastAPI:
        return create_app(self.settings, self.bus, clock=self.clock)

    def token(self, *permissions: str, subject: str | None = None, **claims) -> str:
        subject = subject or f"account:{new_id()}"
        self.tokens.append(super().token(subject, **{"perms": list(permissions)} | claims))
        return self.tokens[-1]

    def as_(self, *permissions: str, **claims) -> dict[str, str]:
        """Headers of a caller with `permissions`."""
        return bearer(self.token(*permissions, **claims))

    def pass_(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
