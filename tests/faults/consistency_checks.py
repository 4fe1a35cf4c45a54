"""What must hold of the whole platform once it has recovered, read from its databases."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg

from common.contracts.services import SERVICES
from common.messaging.inbox import Handlers
from datashare.handlers import handlers as datashare
from identity.handlers import handlers as identity
from incident.handlers import handlers as incident
from tests.faults.retrying_client import Acknowledged

REACTIONS: dict[str, Handlers] = {"identity": identity, "datashare": datashare, "incident": incident}
WITHOUT_EVENT = re.compile(r"/identity/training/attempts|/datashare/resources/[^/]+/records")
"""Writes that may publish no event: an attempt that waits is given again, and known records change nothing."""
POLL_INTERVAL = 0.3
MAX_LISTED = 20

EVENTS = """
    SELECT (convert_from(body, 'UTF8')::jsonb ->> 'id')::uuid AS id, convert_from(body, 'UTF8')::jsonb ->> 'type' AS type,
           sequence, published_at IS NOT NULL AS published
    FROM outbox WHERE topic <> 'xindun.feed'
"""
REPEATED = """
    SELECT type, requestid, subject, count(*) AS times FROM leaves
    WHERE requestid IS NOT NULL AND type !~ '\\.(refused|sign-in\\.failed|secret-set|activation-begun)\\.v1$'
      AND coalesce(actor, '') NOT LIKE 'service:%'
    GROUP BY 1, 2, 3 HAVING count(DISTINCT convert_from(body, 'UTF8')::jsonb -> 'data') < count(*)
"""
"""Each sign-in, refusal, new secret and begun activation is a fact of its own, also where its request came again."""


class ConsistencyChecks:
    """Looks as the superuser, past every service."""

    def __init__(self, connect: Callable[[str], Awaitable[asyncpg.Connection]]) -> None:
        self._connect = connect
        self._known: dict[str, asyncpg.Connection] = {}

    @classmethod
    @asynccontextmanager
    async def open(cls, connect: Callable[[str], Awaitable[asyncpg.Connection]]) -> AsyncIterator["ConsistencyChecks"]:
        """`connect(service)` gives a connection into a service's database."""
        checks = cls(connect)
        try:
            yield checks
        finally:
            for connection in checks._known.values():
                await connection.close()

    async def _rows(self, service: str, query: str) -> list[asyncpg.Record]:
        """Read a service's database; the server may have died since it was read last."""
        connection = self._known.get(service)
        if connection is None or connection.is_closed():
            connection = self._known[service] = await self._connect(service)
        rows: list[asyncpg.Record] = await connection.fetch(query)
        return rows

    async def settled(self, within: float) -> None:
        """Return when everything said has arrived: in the log, and as a done effect with whoever reacts to it."""
        deadline = time.monotonic() + within
        while open_ := await self._open():
            if time.monotonic() > deadline:
                raise AssertionError(f"after {within} s: {open_[:MAX_LISTED]}")
            await asyncio.sleep(POLL_INTERVAL)

    async def _open(self) -> list[str]:
        """Return what is still on its way."""
        unpublished = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
        waiting = {service: (await self._rows(service, unpublished))[0][0] for service in SERVICES}
        if any(waiting.values()):
            return [f"rows not published yet: {waiting}"]
        found = []
        logged = await self._logged()
        for service, said in (await self._said()).items():
            if missing := set(said.values()) - logged[service]:
                found.append(f"audit has not the entries {sorted(missing)[:MAX_LISTED]} of {service}")
        for service, states in (await self._effects()).items():
            found += [f"{service} has not done {type_} {id_}: {state}" for (id_, type_), state in states.items()]
        return found

    async def _said(self) -> dict[str, dict[UUID, int]]:
        """Return by service: the id of each event, and its number."""
        return {
            service: {row["id"]: row["sequence"] for row in await self._rows(service, EVENTS)} for service in SERVICES
        }

    async def _logged(self) -> dict[str, set[int]]:
        logged: dict[str, set[int]] = {service: set() for service in SERVICES}
        for row in await self._rows("audit", "SELECT source, sequence FROM leaves"):
            if (service := row["source"].removeprefix("/")) in logged:
                logged[service].add(row["sequence"])
        return logged

    async def _effects(self) -> dict[str, dict[tuple[UUID, str], str]]:
        """Return by service: the foreign events to which it reacts, and has not yet."""
        said = {service: await self._rows(service, EVENTS) for service in SERVICES}
        undone: dict[str, dict[tuple[UUID, str], str]] = {}
        for service, handlers in REACTIONS.items():
            states = {
                row["message_id"]: row["status"]
                for row in await self._rows(service, "SELECT message_id, status FROM inbox")
            }
            undone[service] = {
                (row["id"], row["type"]): states.get(row["id"], "not arrived")
                for publisher in handlers.publishers
                for row in said[publisher]
                if handlers.of(row["type"]) and states.get(row["id"]) != "done"
            }
        return undone

    async def findings(self, acknowledged: Sequence[Acknowledged]) -> list[str]:
        """Return everything that is not as promised (P3, P4), in words."""
        found = []
        logged = await self._logged()
        for service, said in (await self._said()).items():
            numbers = sorted(said.values())
            if numbers != list(range(1, len(numbers) + 1)):
                found.append(f"the numbers of {service} have gaps or repeats")
            if set(numbers) != logged[service]:
                found.append(
                    f"of {service} the log lacks or invents {sorted(set(numbers) ^ logged[service])[:MAX_LISTED]}"
                )
        recorded = {row["requestid"] for row in await self._rows("audit", "SELECT DISTINCT requestid FROM leaves")}
        checked = [each for each in acknowledged if not WITHOUT_EVENT.fullmatch(each.path)]
        lost = [each for each in checked if each.request_id not in recorded]
        found += [f"acknowledged and not in the log: {each}" for each in lost]
        found += [
            f"{row['type']} of {row['subject']} {row['times']} times for request {row['requestid']}"
            for row in await self._rows("audit", REPEATED)
        ]
        return found
