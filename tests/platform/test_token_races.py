"""What ends a system against asking for tokens and asking about them, at the same time, through the gateway and past it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
import pytest

from tests.harness.people import System
from tests.platform.harness import PlatformHarness, Unit

ROUNDS = 3
DEAD = {"active": False}


@pytest.fixture(scope="module")
async def unit(harness: PlatformHarness) -> Unit:
    return await harness.unit()


@pytest.fixture(scope="module")
async def partner(harness: PlatformHarness) -> Unit:
    return await harness.unit()


@dataclass
class Storm:
    """Systems that ask without a pause; what begins after the end was acknowledged must get and hear nothing."""

    harness: PlatformHarness
    ended: System
    asking: System
    over: bool = False
    tokens: set[str] = field(default_factory=set)
    answered_active: int = 0
    going: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_after(self, end: Callable[[], Awaitable[None]]) -> None:
        clients = itertools.cycle((self.harness.client, self.harness.platform.direct["identity"]))
        kinds = (self._tokens, self._of_it, self._by_it)
        async with asyncio.TaskGroup() as group:
            for kind, client in itertools.product(kinds, itertools.islice(clients, 2)):
                group.create_task(self._repeat(kind, client))
            await self.going.wait()
            await end()
            self.over = True
        for token in self.tokens:
            for client in itertools.islice(clients, 2):
                answer = await self.asking.introspect(token, client)
                assert (answer.status_code, answer.json()) == (200, DEAD)

    async def _repeat(self, one: Callable[[httpx.AsyncClient], Awaitable[bool]], client: httpx.AsyncClient) -> None:
        while True:
            began_after = self.over
            served = await one(client)
            await asyncio.sleep(0)  # an answer from memory lets nobody else of this process have a turn
            assert not (began_after and served), f"{one.__name__}: served after the end was acknowledged"
            if began_after:
                return
            if len(self.tokens) > 2 and self.answered_active > 2:
                self.going.set()

    async def _tokens(self, client: httpx.AsyncClient) -> bool:
        """Get a token."""
        answer = await self.ended.try_sign_in(client)
        assert answer.status_code in (200, 401), answer.text
        if answer.is_success:
            self.tokens.add(answer.json()["access_token"])
        return answer.is_success

    async def _of_it(self, client: httpx.AsyncClient) -> bool:
        """Ask of its token, as the partner."""
        answer = await self.asking.introspect(self.ended.access_token, client)
        assert answer.status_code == 200, answer.text
        assert answer.json()["active"] or answer.json() == DEAD
        self.answered_active += answer.json()["active"]
        return bool(answer.json()["active"])

    async def _by_it(self, client: httpx.AsyncClient) -> bool:
        """Ask of the partner's token, as the system that ends."""
        answer = await self.ended.introspect(self.asking.access_token, client)
        assert answer.status_code in (200, 401), answer.text
        return answer.is_success


@pytest.mark.clause("5d.3")
@pytest.mark.clause("6.5")
@pytest.mark.parametrize("act", ["suspend", "secret"])
async def test_nothing_that_begins_after_a_systems_end_was_acknowledged_gets_a_token_or_sees_an_active_one(
    harness, unit, partner, act
):
    path = f"/identity/systems/{unit.system.id}"
    issued = 0
    for _ in range(ROUNDS):
        secret = unit.system.secret

        async def end():
            nonlocal secret
            body = await unit.admin.done(f"{path}/{act}", {"reason": "异常"} if act == "suspend" else None)
            effective = body["effective"]
            assert effective["effective_at"]
            assert effective["silent"] == []
            secret = body.get("client_secret", secret)

        storm = Storm(harness, unit.system, partner.system)
        await storm.until_after(end)
        issued += len(storm.tokens)
        if act == "suspend":
            await unit.admin.done(f"{path}/reinstate")
        unit.system.secret = secret
        await unit.system.sign_in()
        await partner.system.sign_in()
        await harness.platform.settle()
    events = [
        event["data"]["system_id"]
        for event in await harness.platform.events("identity", "service-token.issued")
        if event["data"]["system_id"] == unit.system.id
    ]
    assert len(events) >= issued > ROUNDS


@pytest.mark.clause("12.3")
async def test_no_record_of_a_token_follows_that_of_the_suspension_which_ended_it(harness, unit, partner):
    """The log is read in court: a token that seems to be given after the suspension would be one too many."""
    for _ in range(ROUNDS):

        async def end():
            await harness.center.done(f"/identity/systems/{unit.system.id}/suspend", {"reason": "异常"})

        await Storm(harness, unit.system, partner.system).until_after(end)
        await harness.center.done(f"/identity/systems/{unit.system.id}/reinstate")
        await unit.system.sign_in()
    await harness.platform.settle()
    rows = await harness.platform.admins["identity"].fetch(
        "SELECT body->>'type' AS type FROM (SELECT id, convert_from(body, 'UTF8')::jsonb AS body FROM outbox"
        " WHERE topic <> 'xindun.feed') events WHERE body->'data'->>'system_id' = $1 ORDER BY id",
        unit.system.id,
    )
    stands, issued = True, 0
    for row in rows:
        if row["type"].endswith("service-token.issued.v1"):
            assert stands, "a token was recorded after the suspension"
            issued += 1
        else:
            stands = not row["type"].endswith("system.suspended.v1")
    assert issued > ROUNDS
