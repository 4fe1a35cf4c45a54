"""A unit's people and systems with everything that they ever held, and what must be refused and what must go on."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import httpx
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from tests.platform.people import Person, System, Unit, World, bearer, slug

T = TypeVar("T")


@dataclass
class Holder:
    """An account or a system of the unit, and what the machine knows of it."""

    what: Person | System
    name: str
    holds: dict[str, str] = field(default_factory=dict)
    """What keeps it suspended: cause → what lifts it."""
    ended: bool = False
    sessions: list[tuple[str, str]] = field(default_factory=list)
    """Access and refresh token of each live session."""
    tokens: list[str] = field(default_factory=list)
    """Other live access tokens: of services, of probes."""
    probes: list[str] = field(default_factory=list)


@dataclass
class Dead:
    """What must be refused from now on: access tokens, refresh tokens, client secrets, activation codes."""

    access: set[str] = field(default_factory=set)
    refresh: set[str] = field(default_factory=set)
    secrets: set[tuple[str, str]] = field(default_factory=set)
    codes: set[tuple[str, str]] = field(default_factory=set)


class Stage:
    """One platform for all examples, in a loop of its own: rules are plain functions."""

    def __init__(self, runner: asyncio.Runner, world: World, bystander: Unit, order: str) -> None:
        self.runner, self.world, self.bystander, self.order = runner, world, bystander, order
        self.paths: dict[str, int] = {}
        self.checked = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def probe(self, kind: str, subject: str) -> str:
        """A probe credential of the subject, as incident gets them."""
        platform = self.world.platform
        client_id = platform.apps["incident"].state.runtime.settings.client_id
        got = await self.world.client.post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(quote(client_id, safe=""), quote(platform.secrets.incident_client, safe="")),
        )
        answer = await self.world.client.post(
            "/identity/probes",
            json={"order_id": self.order, "kind": "after", "subject": {"kind": kind, "id": subject}},
            headers=bearer(got.json()["access_token"]),
        )
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["access_token"]
        return token


class Kept(RuleBasedStateMachine):
    """A unit with administrator, clerk, system and somebody invited, and the promise that is kept to and against them."""

    stage: ClassVar[Stage]

    @property
    def world(self) -> World:
        return self.stage.world

    def _lives(self, token: str) -> bool:
        return bool(claims_of(token)["exp"] > self.world.clock.now().timestamp() + 5)

    @initialize()
    def arrive(self) -> None:
        self.unit_holds: set[str] = set()
        self.unit_ended = False
        self.left = False
        self.breach: str | None = None
        self.dead, self.fresh_dead = Dead(), Dead()
        self.stage.run(self._arrive())

    async def _arrive(self) -> None:
        self.unit = await self.world.unit()
        admin, clerk = Holder(self.unit.admin, "administrator"), Holder(self.unit.clerk, "clerk")
        for holder in (admin, clerk):
            holder.sessions.append((holder.what.access, holder.what.refresh))
        self.admin, self.clerk = admin, clerk
        self.system = Holder(self.unit.system, "system", tokens=[self.unit.system.access])
        self.system.probes.append(await self.stage.probe("system", self.unit.system.id))
        clerk.probes.append(await self.stage.probe("account", self.unit.clerk.id))
        invited, self.code = await self.world.invite(self.unit.admin)
        self.invited = Holder(invited, "invited")
        appointments = (
            await self.unit.admin.get("/identity/appointments", params={"account_id": clerk.what.id})
        ).json()
        self.appointment: str | None = appointments["items"][0]["id"]
        self.people = {"administrator": admin, "clerk": clerk, "invited": self.invited}

    # What the machine knows

    def _unit_stands(self) -> bool:
        return not self.unit_holds and not self.unit_ended

    def _stands(self, holder: Holder) -> bool:
        return not holder.holds and not holder.ended and self._unit_stands()

    def _lose(self, holder: Holder) -> None:
        """Everything of the holder is dead now."""
        for access, refresh in holder.sessions:
            self.fresh_dead.access.add(access)
            self.fresh_dead.refresh.add(refresh)
        self.fresh_dead.access.update(holder.tokens, holder.probes)
        holder.sessions, holder.tokens, holder.probes = [], [], []

    def _acknowledged(self, answer: httpx.Response, path: str) -> dict[str, Any]:
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text}"
        body: dict[str, Any] = answer.json()
        effective = body.get("effective", body)
        assert effective["effective_at"], body
        assert (effective["points"], effective["silent"]) == ("5 of 5", []), body
        self.stage.paths[path] = self.stage.paths.get(path, 0) + 1
        return body

    # The promise

    @invariant()
    def what_was_ended_is_refused_everywhere(self) -> None:
        if not hasattr(self, "fresh_dead"):
            return
        found, self.fresh_dead = self.fresh_dead, Dead()
        self._check(found)
        for name in ("access", "refresh", "secrets", "codes"):
            getattr(self.dead, name).update(getattr(found, name))

    @invariant()
    def everything_else_goes_on(self) -> None:
        if hasattr(self, "system"):
            self.stage.run(self._alive())

    def _check(self, dead: Dead) -> None:
        self.stage.run(self._refused(dead))

    async def _refused(self, dead: Dead) -> None:
        # A probe credential lives a minute, and codes of second factors move the clock: over is over, and shows nothing.
        access = [token for token in dead.access if self._lives(token)]
        self.stage.checked += len(access)
        for told in await asyncio.gather(*map(self.world.refused_by_all, access)):
            assert {(status, what) for status, what, _ in told} == {(401, "credential-revoked")}, told
            assert all(reason for _, _, reason in told), told
        await self._said(access, alive=False)
        for token in dead.refresh:
            answer = await self.unit.clerk.try_refresh(token)
            assert (answer.status_code, slug(answer)) == (401, "refresh-refused"), answer.text
            assert answer.json()["reason"]
        for client_id, secret in dead.secrets:
            for client in (self.world.client, self.world.platform.direct["identity"]):
                answer = await System(self.world, client_id, secret).try_sign_in(client)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
                answer = await System(self.world, client_id, secret).introspect("any", client)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        for login, code in dead.codes:
            body = {"login": login, "code": code, "password": "Lychee-harbor-4711-x"}
            answer = await self.world.client.post("/identity/activations", json=body)
            assert slug(answer) in ("activation-refused", "unit-suspended"), answer.text

    async def _alive(self) -> None:
        tokens = [access for holder in (self.admin, self.clerk) for access, _ in holder.sessions] + self.system.tokens
        probes = [token for holder in (self.clerk, self.system) for token in holder.probes if self._lives(token)]
        for person in (self.stage.bystander.admin, self.stage.bystander.clerk):
            assert (await person.get("/identity/me")).status_code == 200
        asked = [self.world.client.get("/identity/me", headers=bearer(token)) for token in (*tokens, *probes)]
        answers = await asyncio.gather(*asked)
        assert [a.status_code for a in answers] == [200] * len(tokens) + [403] * len(probes), answers[-1].text
        assert {slug(answer) for answer in answers[len(tokens) :]} <= {"probe-refused"}
        await self._said(self.system.tokens, alive=True)
        await self._said(probes, alive=False)
        used = await self.world.query(self.stage.bystander, self.stage.bystander.clerk.access)
        assert used.status_code == 200, used.text

    async def _said(self, tokens: list[str], *, alive: bool) -> None:
        """Another unit's system, asking at the gateway and past it, hears that the tokens live, or nothing."""
        doors = (self.world.client, self.world.platform.direct["identity"])
        asked = [self.stage.bystander.system.introspect(token, client) for token in tokens for client in doors]
        for answer in await asyncio.gather(*asked):
            assert answer.status_code == 200, answer.text
            assert answer.json()["active"] == alive, answer.text
            assert alive or answer.json() == {"active": False}

    def _admin_headers(self) -> dict[str, str]:
        """Of the administrator, who signs in where no session is left."""
        if not self.admin.sessions:
            tokens = self.stage.run(self.admin.what.sign_in())
            self.admin.sessions.append((tokens.access, tokens.refresh))
        return bearer(self.admin.sessions[-1][0])

    def teardown(self) -> None:
        if not hasattr(self, "dead"):
            return
        self._check(self.dead)
        self.stage.run(self._still())

    async def _still(self) -> None:
        """What lives is really alive: refresh tokens too, which the invariant must not use up."""
        for holder in (self.admin, self.clerk):
            for _, refresh in holder.sessions:
                assert (await holder.what.try_refresh(refresh)).status_code == 200
        if self._unit_stands() and not self.invited.ended:
            assert (await self.invited.what.begin_activation(self.code)).status_code == 201


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims
