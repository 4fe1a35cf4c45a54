"""The toy with a bus, a clock, and people with real tokens."""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self

import httpx
from pydantic import SecretStr

from common.clock import ManualClock
from common.contracts.topics import TOPICS
from common.enforcement.revocation_feed import Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.ids import new_id
from common.messaging.bus import BusUnavailable, Message
from common.messaging.events import Envelope, Event
from common.messaging.in_process import InProcessBus
from common.messaging.topics import FEED_TOPIC, events_topic, receipts_topic
from common.settings import ServiceSettings
from tests.harness.databases import ServiceDatabase
from tests.services.common.toy.main import create_app

ISSUER = "https://xindun.local"
TERM = 20.0


async def eventually(condition) -> None:
    """Ask again until it is so; `condition` may be async."""
    async with asyncio.timeout(TERM):
        while True:
            result = condition()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.01)


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


class World:
    def __init__(self, database: ServiceDatabase, **settings) -> None:
        self.database, self.clock, self.bus = database, ManualClock(), Bus()
        self.key = SigningKey.generate()
        self.settings = ServiceSettings(
            database_url=SecretStr(database.app), environment="development", issuer=ISSUER, **settings
        )
        self.app = create_app(self.settings, self.bus, clock=self.clock)
        self.runtime = self.app.state.runtime
        self.point = self.runtime.point
        self.inbox = self.runtime.parts["inbox"]
        self.asked = 0
        self.tokens: list[str] = []
        self._ends = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._ends.enter_async_context(self.app.router.lifespan_context(self.app))
        await self.bus.start()
        self._ends.push_async_callback(self.bus.stop)
        await self.feed(VerificationKey(kid=self.key.kid, jwk=self.key.public_jwk), Heartbeat(at=self.clock.now()))
        await self.point.loaded()
        self.client = await self._ends.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://toy.test")
        )
        return self

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()

    async def feed(self, *entries) -> None:
        await self.bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])

    def token(self, *permissions: str, subject: str | None = None, key: SigningKey | None = None, **more) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": "xindun",
            "sub": subject or f"account:{new_id()}",
            "epc": 0,
            "perms": list(permissions),
            "jti": str(new_id()),
            "iat": now,
            "nbf": now,
            "exp": now + 600,
        } | more
        self.tokens.append(sign(key or self.key, claims))
        return self.tokens[-1]

    def as_(self, *permissions: str, **claims) -> dict[str, str]:
        """Headers of somebody with `permissions`."""
        return {"authorization": f"Bearer {self.token(*permissions, **claims)}"}

    def question(self, event: Event, **changed) -> Message:
        """The event as its publisher would put it on the bus."""
        self.asked += 1
        members = {
            "id": new_id(),
            "source": f"/{event.publisher}",
            "type": event.type,
            "subject": event.key,
            "time": self.clock.now(),
            "sequence": self.asked,
            "data": event.model_dump(mode="json"),
        } | changed
        return Message(events_topic("asker"), event.key, Envelope(**members).to_bytes())

    def pass_(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))
