"""One service on a real database and an in-process bus, with stand-ins for what surrounds it."""

from collections import defaultdict
from contextlib import AsyncExitStack
from typing import Any, Self
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import text

from common.clock import Clock, ManualClock
from common.contracts.permissions import POSTS
from common.contracts.topics import TOPICS
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.permissions import UnitKind
from common.enforcement.tokens import SigningKey
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import Event
from common.messaging.in_process import InProcessBus
from common.settings import ServiceSettings
from tests.harness.client import HERE, asgi_client, bearer
from tests.harness.databases import ServiceDatabase
from tests.harness.events import PUBLISHED, message, select_events
from tests.harness.polling import eventually
from tests.harness.tokens import access_token, publish_feed, publish_key


class ServiceHarness:
    """A service as it runs; `key` signs the tokens of its callers, `clock` stands still until a test moves it."""

    name: str
    address = HERE
    """The network address of its callers."""
    token_term = 600
    """Seconds."""
    event_timeout = 10.0
    """Seconds that `event` and `wait_for_events` wait."""

    def __init__(
        self,
        database: ServiceDatabase,
        settings: ServiceSettings,
        clock: Clock | None = None,
        bus: InProcessBus | None = None,
    ) -> None:
        self.database, self.settings = database, settings
        self.clock: Any = clock or ManualClock()
        self.bus = bus or InProcessBus(TOPICS)
        self.key = SigningKey.generate()
        self.sequences: dict[str, int] = defaultdict(int)
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._exit = AsyncExitStack()
        self.app = self.create_app()
        self.runtime = self.app.state.runtime

    def create_app(self) -> FastAPI:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        self._exit.push_async_callback(self.bus.stop)
        await self.start_app()
        await self.bus.start()
        await self.start_surroundings()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    async def start_app(self) -> None:
        await self._exit.enter_async_context(self.app.router.lifespan_context(self.app))

    async def start_surroundings(self) -> None:
        """Publish what makes enforcement points accept tokens, and wait until they do."""
        await publish_key(self.bus, self.key, self.clock.now())
        for point in self.points():
            await point.loaded()
            assert await point.until(lambda point=point: self.key.kid in point.keys, 10)

    def points(self) -> list[EnforcementPoint]:
        """The enforcement points that run."""
        return [self.runtime.point]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.client_at(self.address)

    def client_at(self, address: str) -> httpx.AsyncClient:
        """A client of the service at a network address."""
        if address not in self._clients:
            self._clients[address] = client = asgi_client(self.app, address)
            self._exit.push_async_callback(client.aclose)
        return self._clients[address]

    def path(self, path: str) -> str:
        """Complete the path of an endpoint by the service's prefix."""
        return path if path.startswith(f"/{self.name}/") else f"/{self.name}{path}"

    # Credentials

    async def feed(self, *entries: Any) -> None:
        await publish_feed(self.bus, *entries)

    def token(self, subject: str, *, key: SigningKey | None = None, **claims: Any) -> str:
        return access_token(key or self.key, self.clock.now(), subject, **{"term": self.token_term} | claims)

    def officer(
        self, unit: UUID | None = None, kind: UnitKind = UnitKind.AGENCY, post: str = "credit-clerk"
    ) -> "Actor":
        """An account in a post; without `unit`, of a unit of its own."""
        return Actor(self, "account", unit or new_id(), kind, POSTS[kind][post])

    # Events

    def message(self, event: Event, **changed: Any) -> Message:
        """The next event of another publisher."""
        if "sequence" not in changed:
            self.sequences[event.publisher] += 1
        return message(event, **{"sequence": self.sequences[event.publisher], "at": self.clock.now()} | changed)

    async def publish(self, *events: Event) -> None:
        """Publish events of other services, one after the other."""
        for event in events:
            await self.bus.publish([self.message(event)])

    async def events(self, name: str, **members: Any) -> list[dict[str, Any]]:
        """Return the data of the service's own events under a name, with these members, in order."""
        async with self.runtime.database.transaction() as session:
            bodies = (await session.scalars(text(PUBLISHED))).all()
        return [envelope["data"] for envelope in select_events(bodies, self.name, name, **members)]

    async def wait_for_events(self, name: str, *, times: int = 1, **members: Any) -> list[dict[str, Any]]:
        async def enough() -> list[dict[str, Any]] | None:
            found = await self.events(name, **members)
            return found if len(found) >= times else None

        found: list[dict[str, Any]] = await eventually(enough, timeout=self.event_timeout)
        return found

    async def event(self, name: str, **members: Any) -> dict[str, Any]:
        """Wait for an event with these members, and return the data of the first."""
        return (await self.wait_for_events(name, **members))[0]

    async def count(self, table: str, where: str = "true") -> int:
        """Count the rows of a table."""
        async with self.runtime.database.transaction() as session:
            count: int = await session.scalar(text(f"SELECT count(*) FROM {table} WHERE {where}"))
        return count


class Actor:
    """An account or a system of a unit, with a token."""

    def __init__(
        self, harness: ServiceHarness, kind: str, unit: UUID, unit_kind: UnitKind, permissions=(), **claims: Any
    ) -> None:
        self.harness, self.kind, self.id = harness, kind, claims.pop("id", None) or new_id()
        self.unit, self.unit_kind, self.permissions = unit, unit_kind, permissions
        of_unit = {"unit": str(unit), "uknd": unit_kind.value, "uepc": 0, "perms": list(permissions)}
        self.headers = bearer(harness.token(f"{kind}:{self.id}", **of_unit | claims))

    async def send(
        self, method: str, path: str, body: Any = None, *, address: str | None = None, **headers: str
    ) -> httpx.Response:
        client = self.harness.client_at(address or self.harness.address)
        headers = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return await client.request(method, self.harness.path(path), json=body, headers=headers)

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.send("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return await self.send("POST", path, body, **more)
