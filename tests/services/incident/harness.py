"""Incident with everything around it that it speaks to: a bus, people with real tokens, executors, and a gateway's stand-in.

The stand-in is test code and honest: it checks every token by the platform's own verifier at its own enforcement point,
and refuses for what it finds, in the form of the real services.
"""

import asyncio
import base64
import secrets
from collections import defaultdict
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Self
from urllib.parse import unquote
from uuid import UUID

import httpx
import orjson
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from common.clock import SystemClock
from common.contracts.events import datashare, identity
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.contracts.permissions import POSTS
from common.contracts.policies import POLICIES
from common.contracts.topics import TOPICS
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.permissions import UnitKind
from common.enforcement.revocation_feed import Cutoff, Heartbeat, VerificationKey
from common.enforcement.tokens import SigningKey, sign
from common.enforcement.verifier import Verifier
from common.ids import new_id
from common.messaging.bus import Message
from common.messaging.events import Envelope
from common.messaging.in_process import InProcessBus
from common.messaging.topics import FEED_TOPIC, events_topic
from common.problems import Problem
from common.web.application import supervise
from common.web.authorization import bearer_token
from common.web.exception_handlers import problem_response
from common.web.middleware import RequestMiddleware
from incident.main import create_app
from incident.settings import Settings
from tests.harness.databases import ServiceDatabase

ISSUER = "https://xindun.local"
CLIENT, SECRET = "service:incident", "incident's secret: 7+/%=&"
GATEWAY = "http://gateway.test"


class Person:
    """Somebody with a post; `headers` carry a real token."""

    def __init__(self, world: "World", unit: UUID, kind: UnitKind, post: str) -> None:
        self.id, self.unit, self.kind = new_id(), unit, kind
        self.permissions = POSTS[kind][post]
        self.headers = {"authorization": "Bearer " + world.token(f"account:{self.id}", 0, unit, kind, self.permissions)}


class World:
    """`executors` False: orders go unanswered. `bend` changes what the datashare stand-in answers."""

    with_tasks = True

    def __init__(self, database: ServiceDatabase, clock=None) -> None:
        self.clock = clock or SystemClock()
        self.bus = InProcessBus(TOPICS)
        self.key = SigningKey.generate()
        self.database = database
        self.executors = True
        self.bend = None
        self.sequences: dict[str, int] = defaultdict(int)
        self.orders: dict[UUID, ContainmentOrdered] = {}
        self.told: list[Envelope] = []
        self.news = asyncio.Condition()
        self.epochs: dict[str, int] = defaultdict(int)
        self.before: dict[UUID, int] = {}
        self.grants: dict[UUID, dict] = {}
        self.suspensions: dict[UUID, set[str]] = defaultdict(set)
        self.knocks: list[dict] = []
        self.tokens_issued = 0
        self._ends = AsyncExitStack()
        self.gateway = Starlette(
            routes=[
                Route("/identity/oauth/token", self._service_token, methods=["POST"]),
                Route("/identity/probes", self._issue_probe, methods=["POST"]),
                Route("/datashare/queries", self._query, methods=["POST"]),
            ],
            exception_handlers={Problem: problem_response},
        )
        stand_in = RequestMiddleware(self.gateway, service="gateway-stand-in", body_limit=1 << 20, timeout=30)
        self.probe_client = httpx.AsyncClient(transport=httpx.ASGITransport(stand_in))
        self.settings = Settings(
            database_url=SecretStr(database.app),
            client_secret=SecretStr(SECRET),
            gateway_url=GATEWAY,
            environment="development",
        )
        self.app = self.new_app()
        self.runtime = self.app.state.runtime

    def new_app(self):
        return create_app(self.settings, self.bus, clock=self.clock, probe_client=self.probe_client)

    async def __aenter__(self) -> Self:
        await self._ends.enter_async_context(self.app.router.lifespan_context(self.app))
        await self.open()
        return self

    async def open(self) -> None:
        """Start the surroundings alone."""
        await self.bus.subscribe("stand-in", [events_topic("incident")], self._listen)
        await self.bus.start()
        self._ends.push_async_callback(self.bus.stop)
        await self.feed(VerificationKey(kid=self.key.kid, jwk=self.key.public_jwk), Heartbeat(at=self.clock.now()))
        point = EnforcementPoint("gateway-stand-in", self.bus, self.clock, POLICIES)
        following = asyncio.create_task(supervise("stand-in", "point", point.run))
        self._ends.callback(following.cancel)
        await point.loaded()
        if self.with_tasks:
            await self.runtime.point.loaded()
        self.point = point
        self.verifier = Verifier(point, ISSUER, self.clock)
        self.client = await self._ends.enter_async_context(
            httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://incident.test")
        )

    async def __aexit__(self, *_) -> None:
        await self._ends.aclose()
        await self.probe_client.aclose()

    # Credentials

    def token(self, subject: str, epoch: int, unit=None, kind=None, permissions=(), **more) -> str:
        now = int(self.clock.now().timestamp())
        claims = {
            "iss": ISSUER,
            "aud": "xindun",
            "sub": subject,
            "epc": epoch,
            "perms": list(permissions),
            "jti": str(new_id()),
            "iat": now,
            "nbf": now,
            "exp": now + 100_000,
        } | more
        if unit:
            claims |= {"unit": str(unit), "uknd": str(kind), "uepc": 0}
        return sign(self.key, claims)

    def person(self, unit: UUID, kind: UnitKind = UnitKind.AGENCY, post: str = "unit-administrator") -> Person:
        return Person(self, unit, kind, post)

    def center(self) -> Person:
        return self.person(new_id(), UnitKind.CENTER, "center-officer")

    def authority(self) -> Person:
        return self.person(new_id(), UnitKind.AUTHORITY, "authority-officer")

    # What others say

    async def feed(self, *entries) -> None:
        await self.bus.publish([Message(FEED_TOPIC, entry.key, entry.to_bytes()) for entry in entries])

    def message(self, event, *, sequence: int | None = None) -> Message:
        if sequence is None:
            self.sequences[event.publisher] += 1
            sequence = self.sequences[event.publisher]
        envelope = Envelope(
            id=new_id(),
            source=f"/{event.publisher}",
            type=event.type,
            subject=event.key,
            time=self.clock.now(),
            sequence=sequence,
            data=orjson.loads(event.model_dump_json()),
        )
        return Message(events_topic(event.publisher), event.key, envelope.to_bytes())

    async def say(self, *events) -> None:
        for event in events:
            await self.bus.publish([self.message(event)])

    async def agency(self) -> UUID:
        unit = new_id()
        await self.say(
            identity.UnitRegistered(
                unit_id=unit, kind="agency", level="city", name="甲局", uscc="11440300MB2C95085U", duties=[]
            )
        )
        return unit

    async def account(self, unit: UUID) -> UUID:
        account = new_id()
        await self.say(identity.AccountActivated(account_id=account, unit_id=unit))
        return account

    async def system(self, unit: UUID) -> UUID:
        system = new_id()
        await self.say(identity.SystemApproved(system_id=system, unit_id=unit, name="接入系统", origins=["127.0.0.1"]))
        return system

    async def grant(self, unit: UUID, *systems: UUID) -> UUID:
        now = self.clock.now()
        event = datashare.GrantActivated(
            grant_id=new_id(),
            unit_id=unit,
            resource_id=new_id(),
            agreement_id=new_id(),
            systems=list(systems),
            purposes=["licence-review"],
            fields=["name"],
            valid_from=now,
            valid_until=now + timedelta(days=1),
            quota={"calls": 10},
        )
        self.grants[event.grant_id] = {"unit": unit, "systems": list(systems)}
        await self.say(event)
        return event.grant_id

    # What the executors do

    async def _listen(self, messages) -> None:
        for message in messages:
            envelope = Envelope.model_validate_json(message.value)
            event = envelope.event()
            if event is None:
                continue
            self.told.append(envelope)
            async with self.news:
                self.news.notify_all()
            if isinstance(event, ContainmentOrdered):
                self.orders[event.order_id] = event
                if self.executors:
                    await self.carry_out(event)
            elif isinstance(event, ContainmentLifted) and self.executors:
                await self.undo(self.orders[event.order_id])

    async def carry_out(self, order: ContainmentOrdered) -> None:
        now = self.clock.now()
        if order.executor == "identity":
            subject = f"{order.target_kind}:{order.target_id}"
            self.before[order.order_id] = self.epochs[subject]
            self.epochs[subject] += 1
            cutoff = Cutoff(
                id=new_id(),
                subject=subject,
                epoch=self.epochs[subject],
                reason="contained",
                cause=f"order:{order.order_id}",
                at=now,
            )
            await self.feed(cutoff)
            await self.point.until(lambda: self.point.holds(subject, cutoff.epoch), 5)
            await self.say(
                identity.ContainmentApplied(
                    order_id=order.order_id, known=True, effective_at=now, points={"stand-in": now}
                )
            )
            return
        hit = [
            grant
            for grant, terms in self.grants.items()
            if order.target_id in (grant, terms["unit"], *terms["systems"])
        ]
        for grant in hit:
            self.suspensions[grant].add(f"order:{order.order_id}")
        await self.say(datashare.ContainmentApplied(order_id=order.order_id, grants=hit, applied_at=now))

    async def undo(self, order: ContainmentOrdered) -> None:
        if order.executor == "identity":
            await self.say(identity.ContainmentLiftApplied(order_id=order.order_id, reinstated=True))
            return
        cause = f"order:{order.order_id}"
        freed = [grant for grant, causes in self.suspensions.items() if causes == {cause}]
        for causes in self.suspensions.values():
            causes.discard(cause)
        await self.say(datashare.ContainmentLiftApplied(order_id=order.order_id, grants=freed))

    # The gateway's stand-in

    async def _service_token(self, request: Request) -> JSONResponse:
        scheme, _, value = request.headers["authorization"].partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":")
        form = (await request.body()).decode()
        asked = (scheme, unquote(user), unquote(password), form)
        if asked != ("Basic", CLIENT, SECRET, "grant_type=client_credentials"):
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens_issued += 1
        return JSONResponse({"access_token": self.token(CLIENT, 0), "token_type": "Bearer", "expires_in": 600})

    async def _issue_probe(self, request: Request) -> JSONResponse:
        assert self.verifier.authenticate_and_check_revocation(bearer_token(request)).subject == CLIENT
        body = await request.json()
        order = self.orders.get(UUID(body["order_id"]))
        if order is None:
            return JSONResponse({"type": "urn:xindun:problem:not-found", "status": 404}, 404)
        subject = f"{body['subject']['kind']}:{body['subject']['id']}"
        epoch = self.before[UUID(body["order_id"])] if body["kind"] == "before" else self.epochs[subject]
        token = self.token(subject, epoch, probe=body["order_id"])
        return JSONResponse({"access_token": token, "token_type": "Bearer", "subject": body["subject"]}, 201)

    async def _query(self, request: Request) -> JSONResponse:
        body = await request.json()
        if self.bend and (bent := self.bend(body)):
            return bent
        principal = self.verifier.authenticate_and_check_revocation(bearer_token(request))
        self.knocks.append({"subject": principal.subject} | body)
        grant = UUID(body["grant_id"])
        links = [
            {"link": "grant-active", "cause": cause, "reason": "grant-suspended"} for cause in self.suspensions[grant]
        ]
        if grant not in self.grants or UUID(principal.id) not in self.grants[grant]["systems"]:
            links.append({"link": "system-in-grant", "cause": None, "reason": "system-outside-grant"})
        if links:
            answer = {"type": f"urn:xindun:problem:{links[0]['reason']}", "status": 403, "links": links}
            return JSONResponse(answer, 403, media_type="application/problem+json")
        return JSONResponse({"allowed": True, "records": []})

    async def until_told(self, name: str, *, times: int = 1, **members) -> list[dict]:
        """Wait until incident has published it so often."""
        async with self.news, asyncio.timeout(10):
            await self.news.wait_for(lambda: len(self.told_of(name, **members)) >= times)
        return self.told_of(name, **members)

    def told_of(self, name: str, **members) -> list[dict]:
        """What incident published under an event's name, with these members."""
        wanted = {key: str(value) if isinstance(value, UUID) else value for key, value in members.items()}
        found = [envelope.data for envelope in self.told if envelope.type == f"cn.xindun.incident.{name}.v1"]
        return [data for data in found if wanted.items() <= data.items()]

    def breach(self, **scope) -> dict:
        now = self.clock.now()
        return {
            "kind": "leak",
            "description": "接入系统的日志含有导出的信用记录",
            "occurred_at": None,
            "detected_at": (now - timedelta(minutes=5)).isoformat(),
            "scope": {kind: [str(id_) for id_ in ids] for kind, ids in scope.items()},
        }

    async def report(self, person: Person, *, wait_ms: int = 5000, **scope) -> httpx.Response:
        return await self.client.post(
            f"/incident/breaches?wait_ms={wait_ms}", json=self.breach(**scope), headers=person.headers
        )

    async def file(self, person: Person, breach_id: str) -> dict:
        answer = await self.client.get(f"/incident/breaches/{breach_id}", headers=person.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def lift(self, proposer: Person, approver: Person, breach_id: str, *, wait_ms: int = 5000) -> httpx.Response:
        proposed = await self.client.post(
            f"/incident/breaches/{breach_id}/lift-proposals",
            json={"reason": "漏洞已修复并复测"},
            headers=proposer.headers,
        )
        assert proposed.status_code == 201, proposed.text
        return await self.client.post(
            f"/incident/lift-proposals/{proposed.json()['id']}/approve?wait_ms={wait_ms}",
            headers=approver.headers | {"idempotency-key": secrets.token_hex(8)},
        )
