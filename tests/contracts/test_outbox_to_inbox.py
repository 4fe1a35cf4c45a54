"""From one service's outbox to another's inbox over each bus: every effect once, wherever between two steps all dies."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from common.clock import ManualClock
from common.contracts.policies import POLICIES
from common.messaging import outbox
from common.messaging import relay as relay_module
from common.messaging.bus import Bus, Message
from common.messaging.events import REGISTRY, Envelope, Event
from common.messaging.inbox import Handlers, Inbox
from common.messaging.relay import Relay
from common.settings import ServiceSettings
from common.storage.database import Database
from common.web.application import asyncpg_dsn, supervise
from common.web.runtime import Runtime
from tests.contracts.harness import TERM, Ground, in_order
from tests.harness.databases import ServiceDatabase
from tests.harness.polling import eventually

KEYS = ("alder", "birch", "cedar", "elm", "fir")
BATCH = 7
"""Messages that a relay takes at once: so few that whole batches lie before and behind the one in which all dies."""
SENDING = ("untaken", "numbered", "half published", "published")
RECEIVING = ("claimed", "in effect", "committed")
"""What is so when all dies.

The batch is: untaken; numbered, and nothing of it published; in part published; all published, and not marked so. The
message is: claimed by its inbox row, and not handled; handled, and not committed; committed, and not acknowledged to
the bus, to which it is the return of the delivery that leads to the offset's commit or the publication's end.
"""


class Death:
    """Comes at a step in the middle of the second batch that comes to it; then nothing passes any step."""

    def __init__(self, step: str | None) -> None:
        self.step, self._messages, self._over = step, 0, False
        self._came = asyncio.Event()
        self._stuck: set[asyncio.Task[None]] = set()

    async def at(self, step: str, messages: int) -> None:
        """Come to `step` with so many messages."""
        if self._over:
            raise asyncio.CancelledError
        if step == self.step:
            self._messages += messages
            if self._messages > BATCH + BATCH // 2:
                self._came.set()
        if self._came.is_set():
            self._stuck.add(asyncio.current_task())
            await asyncio.Event().wait()

    async def came(self) -> None:
        async with asyncio.timeout(TERM):
            await self._came.wait()

    async def end(self, others: Iterable[asyncio.Task[None]]) -> None:
        """End what stands at a step, and the `others`, where they are."""
        self._over = True
        ended = [*others, *self._stuck]
        for task in ended:
            task.cancel()
        await asyncio.gather(*ended, return_exceptions=True)


@dataclass
class Lasting:
    """What outlives the processes: the bus's ground, both databases, the contract; and what was seen of the traffic."""

    ground: Ground
    topic: str
    event_type: type[Event]
    sender: ServiceDatabase
    receiver: ServiceDatabase
    outbox: asyncpg.Connection
    inbox: asyncpg.Connection
    published: list[Message] = field(default_factory=list)
    received: list[Message] = field(default_factory=list)

    async def publish(self, turns: Iterable[int]) -> None:
        """Let each key say its turns in order, a transaction each, all keys at the same time."""
        database, clock = Database(self.sender.app), ManualClock()

        async def publish(key: str) -> None:
            for turn in turns:
                async with database.transaction() as session:
                    outbox.add(session, self.event_type(about=key, turn=turn), at=clock.now())

        await asyncio.gather(*map(publish, KEYS))
        await database.close()

    async def unmarked(self) -> tuple[int, int]:
        """Return how many rows are not marked as published: without a number, and with one."""
        rows = await self.outbox.fetch("SELECT sequence FROM outbox WHERE published_at IS NULL")
        numbered = sum(row["sequence"] is not None for row in rows)
        return len(rows) - numbered, numbered

    async def effects(self) -> dict[uuid.UUID, tuple[str, int]]:
        """Return the effects in their order, after a look that none is there twice."""
        rows = await self.inbox.fetch("SELECT message_id, about, text FROM effects ORDER BY n")
        effects = {row["message_id"]: (row["about"], int(row["text"])) for row in rows}
        assert len(effects) == len(rows), "an effect is there twice"
        return effects

    async def states(self) -> dict[uuid.UUID, str]:
        return {row["message_id"]: row["status"] for row in await self.inbox.fetch("SELECT * FROM inbox")}

    async def settled(self, turns: int) -> None:
        """Wait until nothing is left to publish and each key's turns have taken effect."""

        async def all_done() -> bool:
            return await self.unmarked() == (0, 0) and len(await self.effects()) >= turns * len(KEYS)

        await eventually(all_done)


def facts(messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if message.key != "heartbeat"]


class Process:
    """One process with relay, bus and inbox."""

    def __init__(self, lasting: Lasting, death: Death) -> None:
        self._lasting, self._death = lasting, death
        self._database, self._clock = Database(lasting.receiver.app), ManualClock()
        self._jobs: list[asyncio.Task[None]] = []
        self._bus: Bus
        self._inbox: Inbox

    async def begin(self) -> None:
        lasting, death = self._lasting, self._death
        publisher = lasting.event_type.publisher
        self._bus = await lasting.ground.bus((publisher, [lasting.topic], self._deliver))
        settings = ServiceSettings(database_url=SecretStr(lasting.receiver.app), environment="development")
        runtime = Runtime("receiver", settings, self._bus, self._clock, POLICIES)
        handlers = Handlers()
        handlers.on(lasting.event_type)(self._when_published)
        self._inbox = Inbox("receiver", self._database, handlers, runtime, self._clock)

        class MortalRelay(Relay):
            async def _drain(self, connection: asyncpg.Connection) -> int:
                await death.at("untaken", BATCH)
                return await super()._drain(connection)

        relay = MortalRelay(publisher=publisher, dsn=asyncpg_dsn(lasting.sender.app), bus=self, clock=self._clock)
        for what, run in (("inbox", self._inbox.run), ("relay", relay.run)):
            self._jobs.append(asyncio.create_task(supervise(publisher, what, run)))

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take the relay's messages to the bus."""
        count = len(facts(messages))
        self._lasting.published += facts(messages)
        await self._death.at("numbered", count)
        if self._death.step == "half published":
            half = len(messages) // 2
            await self._bus.publish(messages[:half])
            await self._death.at("half published", count)
            messages = messages[half:]
        await self._bus.publish(messages)
        await self._death.at("published", count)

    async def _deliver(self, messages: Sequence[Message]) -> None:
        self._lasting.received += facts(messages)
        await self._inbox.deliver(messages)
        await self._death.at("committed", len(facts(messages)))

    async def _when_published(self, session, event, envelope: Envelope, _: Runtime) -> None:
        await self._death.at("claimed", 1)
        effect = {"id": envelope.id, "about": event.about, "text": str(event.turn)}
        await session.execute(text("INSERT INTO effects (message_id, about, text) VALUES (:id, :about, :text)"), effect)
        await self._death.at("in effect", 1)

    async def end(self) -> None:
        """Relay, handlers and deliveries end where they stand, uncommitted, and every connection with them."""
        await self._death.end(self._jobs)
        await self._bus.stop()
        await self._database.close()


@pytest.fixture
async def lasting(ground_of: Ground, with_toy, fresh_database, monkeypatch) -> AsyncIterator[Lasting]:
    monkeypatch.setattr(relay_module, "RELAY_BATCH_SIZE", BATCH)
    monkeypatch.setattr(relay_module, "POLL_INTERVAL", 0.05)
    publisher = f"publisher-{uuid.uuid4().hex}"

    class Published(Event, publisher=publisher, name="story.published", key="about"):
        about: str
        turn: int

    topic = await ground_of.topic(partitions=4, owner=publisher)
    sender, receiver = await fresh_database("toy"), await fresh_database("toy")
    connections = [await asyncpg.connect(database.admin_dsn) for database in (sender, receiver)]
    yield Lasting(ground_of, topic, Published, sender, receiver, *connections)
    for connection in connections:
        await connection.close()
    del REGISTRY[Published.type]


@pytest.fixture
async def start_process(lasting: Lasting):
    """Start a process; the last one ends with the test."""
    processes: list[Process] = []

    async def begin(death: Death) -> Process:
        process = Process(lasting, death)
        await process.begin()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        await process.end()


async def check_that_death_came_at(step: str, lasting: Lasting) -> None:
    """Look at what stands in the databases: a death elsewhere would prove nothing of this step."""
    unnumbered, numbered = await lasting.unmarked()
    effects, states = await lasting.effects(), await lasting.states()
    if step in SENDING:
        assert unnumbered, "there is more to take"
        assert numbered == (0 if step == "untaken" else BATCH)
    assert effects.keys() == states.keys(), "effect and inbox row stand or fall together"
    if step in RECEIVING:
        received = {Envelope.model_validate_json(message.value).id for message in lasting.received}
        assert effects.keys() < received or step == "committed"
        assert len(effects) > BATCH or step != "committed"


@pytest.mark.clause("12.4")
@pytest.mark.parametrize("step", [*SENDING, *RECEIVING])
async def test_wherever_all_dies_each_event_takes_effect_once_and_in_order(lasting: Lasting, start_process, step: str):
    await lasting.publish(range(5))
    death = Death(step)
    first = await start_process(death)
    await death.came()
    await first.end()
    await check_that_death_came_at(step, lasting)

    await lasting.publish(range(5, 7))
    await start_process(Death(None))
    await lasting.settled(turns=7)
    # Published when all else is published: what comes twice comes before these, so with them all of it has come.
    await lasting.publish(range(7, 8))
    await lasting.settled(turns=8)

    effects = list((await lasting.effects()).values())
    assert sorted(effects) == [(key, turn) for key in KEYS for turn in range(8)]
    for key in KEYS:
        assert [turn for about, turn in effects if about == key] == list(range(8)), f"the order of {key}"
    assert set((await lasting.states()).values()) == {"done"}, "nothing waits, nothing is dead"

    rows = await lasting.outbox.fetch("SELECT sequence FROM outbox ORDER BY sequence")
    assert [row["sequence"] for row in rows] == list(range(1, len(effects) + 1)), "numbered without gaps"
    said: dict[int, tuple[uuid.UUID, bytes]] = {}
    for message in [*lasting.published, *lasting.received]:
        envelope = Envelope.model_validate_json(message.value)
        this = envelope.id, message.value
        assert said.setdefault(envelope.sequence, this) == this, "a number stands for one event, and the same bytes"
    assert said.keys() == set(range(1, len(effects) + 1))
    assert len({event_id for event_id, _ in said.values()}) == len(said), "an event has one number"
    assert in_order(lasting.received, list(dict.fromkeys(lasting.published)))
    if step != "untaken":
        again = lasting.published if step == "numbered" else lasting.received
        assert max(Counter(again).values()) > 1, "what was not known to be done is done again"
