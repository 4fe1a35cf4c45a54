"""State machine over every way to end, suspend and reinstate access; its invariants are what P1 promises."""

import asyncio
import base64
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar
from urllib.parse import quote

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.harness.client import bearer, slug
from tests.harness.people import Person, System
from tests.platform.harness import PlatformHarness, Unit

T = TypeVar("T")
SIDES = st.sampled_from(("center", "authority"))


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

    def __init__(self, runner: asyncio.Runner, harness: PlatformHarness, bystander: Unit, order: str) -> None:
        self.runner, self.harness, self.bystander, self.order = runner, harness, bystander, order
        self.paths: dict[str, int] = {}
        self.checked = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    async def probe(self, kind: str, subject: str) -> str:
        """A probe credential of the subject, as incident gets them."""
        platform = self.harness.platform
        client_id = platform.apps["incident"].state.runtime.settings.client_id
        got = await self.harness.client.post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"},
            auth=httpx.BasicAuth(quote(client_id, safe=""), quote(platform.secrets.incident_client, safe="")),
        )
        answer = await self.harness.client.post(
            "/identity/probes",
            json={"order_id": self.order, "kind": "after", "subject": {"kind": kind, "id": subject}},
            headers=bearer(got.json()["access_token"]),
        )
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["access_token"]
        return token


class RevocationStateMachine(RuleBasedStateMachine):
    """A unit with an administrator, a clerk, a system and an invited person; rules end, suspend and reinstate their access."""

    stage: ClassVar[Stage]

    @property
    def harness(self) -> PlatformHarness:
        return self.stage.harness

    def _is_unexpired(self, token: str) -> bool:
        return bool(claims_of(token)["exp"] > self.harness.clock.now().timestamp() + 5)

    @initialize()
    def arrive(self) -> None:
        self.unit_holds: set[str] = set()
        self.unit_ended = False
        self.left = False
        self.breach: str | None = None
        self.dead, self.fresh_dead = Dead(), Dead()
        self.stage.run(self._arrive())

    async def _arrive(self) -> None:
        self.unit = await self.harness.unit()
        admin, clerk = Holder(self.unit.admin, "administrator"), Holder(self.unit.clerk, "clerk")
        for holder in (admin, clerk):
            holder.sessions.append((holder.what.access_token, holder.what.refresh_token))
        self.admin, self.clerk = admin, clerk
        self.system = Holder(self.unit.system, "system", tokens=[self.unit.system.access_token])
        self.system.probes.append(await self.stage.probe("system", self.unit.system.id))
        clerk.probes.append(await self.stage.probe("account", self.unit.clerk.id))
        invited = await self.harness.invite(self.unit.admin)
        self.code = invited["activation_code"]
        self.invited = Holder(Person(self.harness, invited["login"], invited["account_id"]), "invited")
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
        access = [token for token in dead.access if self._is_unexpired(token)]
        self.stage.checked += len(access)
        for answers in await asyncio.gather(*map(self.harness.refused_by_all, access)):
            assert {(status, what) for status, what, _ in answers} == {(401, "credential-revoked")}, answers
            assert all(reason for _, _, reason in answers), answers
        await self._said(access, alive=False)
        for token in dead.refresh:
            answer = await self.unit.clerk.try_refresh(token)
            assert (answer.status_code, slug(answer)) == (401, "refresh-refused"), answer.text
            assert answer.json()["reason"]
        for client_id, secret in dead.secrets:
            for client in (self.harness.client, self.harness.platform.direct["identity"]):
                answer = await System(self.harness, client_id, secret).try_sign_in(client)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
                answer = await System(self.harness, client_id, secret).introspect("any", client)
                assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        for login, code in dead.codes:
            body = {"login": login, "code": code, "password": "Lychee-harbor-4711-x"}
            answer = await self.harness.client.post("/identity/activations", json=body)
            assert slug(answer) in ("activation-refused", "unit-suspended"), answer.text

    async def _alive(self) -> None:
        tokens = [access for holder in (self.admin, self.clerk) for access, _ in holder.sessions] + self.system.tokens
        probes = [token for holder in (self.clerk, self.system) for token in holder.probes if self._is_unexpired(token)]
        for person in (self.stage.bystander.admin, self.stage.bystander.clerk):
            assert (await person.get("/identity/me")).status_code == 200
        asked = [self.harness.client.get("/identity/me", headers=bearer(token)) for token in (*tokens, *probes)]
        answers = await asyncio.gather(*asked)
        assert [a.status_code for a in answers] == [200] * len(tokens) + [403] * len(probes), answers[-1].text
        assert {slug(answer) for answer in answers[len(tokens) :]} <= {"probe-refused"}
        await self._said(self.system.tokens, alive=True)
        await self._said(probes, alive=False)
        used = await self.harness.query(self.stage.bystander, self.stage.bystander.clerk.access_token)
        assert used.status_code == 200, used.text

    async def _said(self, tokens: list[str], *, alive: bool) -> None:
        """Another unit's system, asking at the gateway and past it, learns that the tokens are active, or nothing."""
        clients = (self.harness.client, self.harness.platform.direct["identity"])
        asked = [self.stage.bystander.system.introspect(token, client) for token in tokens for client in clients]
        for answer in await asyncio.gather(*asked):
            assert answer.status_code == 200, answer.text
            assert answer.json()["active"] == alive, answer.text
            assert alive or answer.json() == {"active": False}

    def _admin_headers(self) -> dict[str, str]:
        """Of the administrator, who signs in where no session is left."""
        if not self.admin.sessions:
            tokens = self.stage.run(self.admin.what.sign_in())
            self.admin.sessions.append((tokens.access_token, tokens.refresh_token))
        return bearer(self.admin.sessions[-1][0])

    def teardown(self) -> None:
        if not hasattr(self, "dead"):
            return
        self._check(self.dead)
        self.stage.run(self._still())

    async def _still(self) -> None:
        """What is live really works: refresh tokens too, which the invariant must not use up."""
        for holder in (self.admin, self.clerk):
            for _, refresh in holder.sessions:
                assert (await holder.what.try_refresh(refresh)).status_code == 200
        if self._unit_stands() and not self.invited.ended:
            assert (await self.invited.what.begin_activation(self.code)).status_code == 201

    # Rules that end or suspend

    @precondition(lambda self: not self.clerk.ended or not self.admin.ended)
    @rule(name=st.sampled_from(("administrator", "clerk")))
    def the_center_suspends_an_account(self, name: str) -> None:
        holder = self.people[name]
        if holder.ended or not holder.what.secret:
            return
        path = f"/identity/accounts/{holder.what.id}/suspend"
        self._acknowledged(self.stage.run(self.harness.center.post(path, {"reason": "核查"})), "suspend account")
        holder.holds["center"] = "account"
        self._lose(holder)

    @precondition(lambda self: not self.left and not self.clerk.ended and self._stands(self.admin))
    @rule()
    def the_unit_reports_a_departure(self) -> None:
        report = {
            "account_id": self.clerk.what.id,
            "kind": "departure",
            "left_at": self.harness.clock.now().isoformat(),
        }
        answer = self.stage.run(
            self.harness.client.post("/identity/departures", json=report, headers=self._admin_headers())
        )
        self.departure = self._acknowledged(answer, "report departure")["departure"]["id"]
        self.left, self.clerk.holds["departure"] = True, "never"
        self._lose(self.clerk)

    @precondition(lambda self: self.left and not self.clerk.ended)
    @rule()
    def the_center_cancels_the_account(self) -> None:
        answer = self.stage.run(self.harness.center.post(f"/identity/departures/{self.departure}/cancel-account"))
        self._acknowledged(answer, "cancel account")
        self.clerk.ended = True
        self.appointment = None
        self._lose(self.clerk)

    @precondition(lambda self: self.appointment and self._stands(self.admin))
    @rule()
    def the_unit_ends_the_appointment(self) -> None:
        path = f"/identity/appointments/{self.appointment}/end"
        answer = self.stage.run(self.harness.client.post(path, json={"reason": "轮岗"}, headers=self._admin_headers()))
        self._acknowledged(answer, "end appointment")
        self.appointment = None
        # The person stays: refresh tokens go on, to access tokens without the post.
        self.fresh_dead.access.update(access for access, _ in self.clerk.sessions)
        self.fresh_dead.access.update(self.clerk.probes)
        self.clerk.probes = []
        for place, (_, refresh) in enumerate(list(self.clerk.sessions)):
            body = self.stage.run(self.clerk.what.try_refresh(refresh)).json()
            assert "credit-data.query" not in body["permissions"]
            self.fresh_dead.refresh.add(refresh)
            self.clerk.sessions[place] = body["access_token"], body["refresh_token"]
            # Tried out at once would be used twice: that belongs to another path.
            self.fresh_dead.refresh.discard(refresh)

    @precondition(lambda self: any(self.people[n].sessions for n in ("administrator", "clerk")))
    @rule(which=st.integers(0, 3))
    def somebody_signs_out(self, which: int) -> None:
        holder = self.clerk if self.clerk.sessions else self.admin
        access, refresh = holder.sessions.pop(which % len(holder.sessions))
        answer = self.stage.run(self.harness.client.delete("/identity/sessions/current", headers=bearer(access)))
        self._acknowledged(answer, "sign out")
        self.fresh_dead.access.add(access)
        self.fresh_dead.refresh.add(refresh)

    @precondition(lambda self: self.clerk.sessions)
    @rule()
    def a_refresh_token_comes_twice(self) -> None:
        access, refresh = self.clerk.sessions.pop()
        given = self.stage.run(self.clerk.what.try_refresh(refresh)).json()
        again = self.stage.run(self.clerk.what.try_refresh(refresh))
        assert (again.status_code, again.json()["reason"]) == (401, "reused")
        self.stage.paths["refresh re-use"] = self.stage.paths.get("refresh re-use", 0) + 1
        session = claims_of(access)["sid"]
        self.stage.run(_everywhere(self.harness, f"session:{session}"))
        self.fresh_dead.access.update((access, given["access_token"]))
        self.fresh_dead.refresh.update((refresh, given["refresh_token"]))

    @precondition(lambda self: not self.unit_ended)
    @rule(side=SIDES)
    def the_unit_is_suspended(self, side: str) -> None:
        path = f"/identity/units/{self.unit.id}/suspend"
        answer = self.stage.run(getattr(self.harness, side).post(path, {"reason": "未整改"}))
        self._acknowledged(answer, f"suspend unit by {side}")
        self.unit_holds.add(side)
        for holder in (self.admin, self.clerk, self.system):
            self._lose(holder)

    @precondition(lambda self: not self.unit_ended and len(self.dead.access) > 6)
    @rule()
    def the_unit_is_decommissioned(self) -> None:
        path = f"/identity/units/{self.unit.id}/decommission"
        self._acknowledged(self.stage.run(self.harness.center.post(path, {"reason": "机构撤并"})), "decommission unit")
        self.unit_ended = self.admin.ended = self.clerk.ended = self.invited.ended = self.system.ended = True
        self.appointment = None
        for holder in (self.admin, self.clerk, self.invited, self.system):
            self._lose(holder)

    @precondition(lambda self: not self.system.ended)
    @rule(by=st.sampled_from(("center", "unit")))
    def the_system_is_suspended(self, by: str) -> None:
        if by == "unit" and not self._stands(self.admin):
            return
        headers = self._admin_headers() if by == "unit" else bearer(self.harness.center.access_token)
        path = f"/identity/systems/{self.system.what.id}/suspend"
        answer = self.stage.run(self.harness.client.post(path, json={"reason": "异常"}, headers=headers))
        self._acknowledged(answer, f"suspend system by {by}")
        self.system.holds[by] = "system"
        self._lose(self.system)

    @precondition(lambda self: not self.system.ended and len(self.dead.access) > 4)
    @rule()
    def the_system_is_decommissioned(self) -> None:
        path = f"/identity/systems/{self.system.what.id}/decommission"
        self._acknowledged(self.stage.run(self.harness.center.post(path, {"reason": "下线"})), "decommission system")
        self.system.ended = True
        self._lose(self.system)

    @precondition(lambda self: self._stands(self.admin) and self._stands(self.system))
    @rule()
    def the_secret_is_rotated(self) -> None:
        path = f"/identity/systems/{self.system.what.id}/secret"
        answer = self.stage.run(self.harness.client.post(path, headers=self._admin_headers()))
        body = self._acknowledged(answer, "rotate secret")
        self.fresh_dead.secrets.add((self.system.what.id, self.system.what.secret))
        self._lose(self.system)
        self.system.what.secret = body["client_secret"]

    @precondition(lambda self: not self.breach)
    @rule(name=st.sampled_from(("system", "clerk")))
    def a_breach_is_contained(self, name: str) -> None:
        holder = self.system if name == "system" else self.clerk
        if not self._stands(holder):
            return
        self.breached = holder
        scope = {"systems" if name == "system" else "accounts": [holder.what.id]}
        answer = self.stage.run(self._report(scope))
        assert answer.status_code == 201, answer.text
        assert answer.json()["containment"]["state"] == "contained", answer.text
        self.stage.paths[f"contain {name}"] = self.stage.paths.get(f"contain {name}", 0) + 1
        self.breach, holder.holds["order"] = answer.json()["id"], "lift"
        self._lose(holder)

    async def _report(self, scope: dict[str, list[str]]) -> httpx.Response:
        await self.harness.platform.settle()
        return await self.harness.authority.post(
            "/incident/breaches", self.harness.breach(**scope), params={"wait_ms": 5000}
        )

    @precondition(lambda self: not self.invited.ended and self._stands(self.admin))
    @rule()
    def the_invitation_is_renewed(self) -> None:
        path = f"/identity/accounts/{self.invited.what.id}/invitations"
        answer = self.stage.run(self.harness.client.post(path, headers=self._admin_headers()))
        assert answer.status_code == 201, answer.text
        self.stage.paths["renew invitation"] = self.stage.paths.get("renew invitation", 0) + 1
        self.fresh_dead.codes.add((self.invited.what.login, self.code))
        self.code = answer.json()["activation_code"]

    # Rules that bring back

    @precondition(lambda self: any("center" in self.people[n].holds for n in ("administrator", "clerk")))
    @rule()
    def the_center_reinstates_accounts(self) -> None:
        for holder in (self.admin, self.clerk):
            if "center" in holder.holds and not holder.ended:
                self.stage.run(self.harness.center.done(f"/identity/accounts/{holder.what.id}/reinstate"))
                del holder.holds["center"]
        self._check(self.dead)

    @precondition(lambda self: self.unit_holds and not self.unit_ended)
    @rule()
    def the_unit_is_reinstated(self) -> None:
        for side in sorted(self.unit_holds):
            self.stage.run(getattr(self.harness, side).done(f"/identity/units/{self.unit.id}/reinstate"))
            self.unit_holds.discard(side)
        self._check(self.dead)

    @precondition(lambda self: {"center", "unit"} & self.system.holds.keys() and not self.system.ended)
    @rule()
    def the_system_is_reinstated(self) -> None:
        for by in sorted({"center", "unit"} & self.system.holds.keys()):
            if by == "unit" and not self._stands(self.admin):
                continue
            headers = self._admin_headers() if by == "unit" else bearer(self.harness.center.access_token)
            path = f"/identity/systems/{self.system.what.id}/reinstate"
            assert self.stage.run(self.harness.client.post(path, headers=headers)).status_code == 200
            del self.system.holds[by]
        self._check(self.dead)

    @precondition(lambda self: self.breach and not self.breached.ended)
    @rule()
    def two_people_lift_the_containment(self) -> None:
        self.stage.run(self._lift())
        del self.breached.holds["order"]
        self.breach = None
        self._check(self.dead)

    async def _lift(self) -> None:
        path = f"/incident/breaches/{self.breach}/lift-proposals"
        proposal = await self.harness.center.done(path, {"reason": "核查为误报"})
        path = f"/incident/lift-proposals/{proposal['id']}/approve"
        await self.harness.authority.done(path, params={"wait_ms": 0})
        await self.harness.platform.settle()

    @rule(name=st.sampled_from(("administrator", "clerk")))
    def somebody_signs_in(self, name: str) -> None:
        holder = self.people[name]
        answer = self.stage.run(holder.what.try_sign_in())
        assert answer.is_success == self._stands(holder), (answer.text, holder, self.unit_holds)
        if answer.is_success:
            body = answer.json()
            holder.sessions.append((body["access_token"], body["refresh_token"]))
            if not self.appointment and name == "clerk":
                assert "credit-data.query" not in body["permissions"]
        else:
            assert answer.status_code in (401, 403)
            assert slug(answer) in ("account-suspended", "unit-suspended", "sign-in-refused")

    @rule()
    def the_system_asks_for_a_token(self) -> None:
        answer = self.stage.run(self.system.what.try_sign_in())
        assert answer.is_success == self._stands(self.system), (answer.text, self.system, self.unit_holds)
        if answer.is_success:
            self.system.tokens.append(answer.json()["access_token"])
        else:
            assert answer.status_code == 401
            assert answer.json()["reason"], answer.text

    @rule()
    def the_code_of_the_invitation_serves_where_it_may(self) -> None:
        if self.invited.ended or not self._unit_stands():
            answer = self.stage.run(self.invited.what.begin_activation(self.code))
            assert (answer.status_code, slug(answer)) in ((401, "activation-refused"), (403, "unit-suspended"))


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


async def _everywhere(harness: PlatformHarness, subject: str) -> None:
    """A refresh token that came twice is answered without waiting for the points; this waits."""
    for point in harness.platform.points:
        assert await point.until(lambda point=point: point.holds(subject, 1), 5)
