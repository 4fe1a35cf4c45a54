"""Incident with everything around it that it speaks to: a bus, people with real tokens, executors, and a gateway's stand-in.

The stand-in is test code and honest: it checks every token by the platform's own verifier at its own enforcement point,
and refuses for what it finds, in the form of the real services.
"""

import asyncio
import base64
import secrets
from collections import defaultdict
from datetime import timedelta
from urllib.parse import unquote
from uuid import UUID

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from common.clock import Clock, SystemClock
from common.contracts.events import datashare, identity
from common.contracts.events.incident import ContainmentLifted, ContainmentOrdered
from common.contracts.policies import POLICIES
from common.enforcement.enforcement_point import EnforcementPoint
from common.enforcement.permissions import UnitKind
from common.enforcement.revocation_feed import Cutoff
from common.enforcement.verifier import Verifier
from common.ids import new_id
from common.messaging.events import Envelope
from common.messaging.topics import events_topic
from common.problems import Problem
from common.web.application import supervise
from common.web.authorization import bearer_token
from common.web.exception_handlers import problem_response
from common.web.middleware import RequestMiddleware
from incident.main import create_app
from incident.settings import Settings
from tests.harness.databases import ServiceDatabase
from tests.harness.service import Actor, ServiceHarness
from tests.harness.tokens import ISSUER

CLIENT, SECRET = "service:incident", "incident's secret: 7+/%=&"


class IncidentHarness(ServiceHarness):
    """`executors` False: orders go unanswered. `bend` changes what the datashare stand-in answers."""

    name = "incident"
    token_term = 100_000

    def __init__(self, database: ServiceDatabase, clock: Clock | None = None) -> None:
        self.executors = True
        self.bend = None
        self.orders: dict[UUID, ContainmentOrdered] = {}
        self.epochs: dict[str, int] = defaultdict(int)
        self.before: dict[UUID, int] = {}
        self.grants: dict[UUID, dict] = {}
        self.suspensions: dict[UUID, set[str]] = defaultdict(set)
        self.probes: list[dict] = []
        self.tokens_issued = 0
        gateway = Starlette(
            routes=[
                Route("/identity/oauth/token", self._service_token, methods=["POST"]),
                Route("/identity/probes", self._issue_probe, methods=["POST"]),
                Route("/datashare/queries", self._query, methods=["POST"]),
            ],
            exception_handlers={Problem: problem_response},
        )
        stand_in = RequestMiddleware(gateway, service="gateway-stand-in", body_limit=1 << 20, timeout=30)
        self.gateway_client = httpx.AsyncClient(transport=httpx.ASGITransport(stand_in))
        settings = Settings(
            database_url=SecretStr(database.app),
            client_secret=SecretStr(SECRET),
            gateway_url="http://gateway.test",
            environment="development",
        )
        super().__init__(database, settings, clock or SystemClock())
        self._exit.push_async_callback(self.gateway_client.aclose)

    def create_app(self) -> FastAPI:
        return create_app(self.settings, self.bus, clock=self.clock, gateway_client=self.gateway_client)

    async def start_app(self) -> None:
        await super().start_app()
        await self.bus.subscribe("stand-in", [events_topic("incident")], self._execute)

    async def start_surroundings(self) -> None:
        self.point = EnforcementPoint("gateway-stand-in", self.bus, self.clock, POLICIES)
        self.verifier = Verifier(self.point, ISSUER, self.clock)
        following = asyncio.create_task(supervise("stand-in", "point", self.point.run))
        self._exit.callback(following.cancel)
        await super().start_surroundings()

    def points(self) -> list[EnforcementPoint]:
        return [self.runtime.point, self.point]

    def person(self, unit: UUID, post: str = "unit-administrator") -> Actor:
        return self.officer(unit, post=post)

    def center(self) -> Actor:
        return self.officer(None, UnitKind.CENTER, "center-officer")

    def authority(self) -> Actor:
        return self.officer(None, UnitKind.AUTHORITY, "authority-officer")

    # Events of other services

    async def agency(self) -> UUID:
        unit = new_id()
        await self.publish(
            identity.UnitRegistered(
                unit_id=unit, kind="agency", level="city", name="甲局", uscc="11440300MB2C95085U", duties=[]
            )
        )
        return unit

    async def account(self, unit: UUID) -> UUID:
        account = new_id()
        await self.publish(identity.AccountActivated(account_id=account, unit_id=unit))
        return account

    async def system(self, unit: UUID) -> UUID:
        system = new_id()
        await self.publish(
            identity.SystemApproved(system_id=system, unit_id=unit, name="接入系统", origins=["127.0.0.1"])
        )
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
        await self.publish(event)
        return event.grant_id

    # The executors

    async def _execute(self, messages) -> None:
        for message in messages:
            event = Envelope.model_validate_json(message.value).event()
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
            await self.publish(
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
        await self.publish(datashare.ContainmentApplied(order_id=order.order_id, grants=hit, applied_at=now))

    async def undo(self, order: ContainmentOrdered) -> None:
        if order.executor == "identity":
            await self.publish(identity.ContainmentLiftApplied(order_id=order.order_id, reinstated=True))
            return
        cause = f"order:{order.order_id}"
        freed = [grant for grant, causes in self.suspensions.items() if causes == {cause}]
        for causes in self.suspensions.values():
            causes.discard(cause)
        await self.publish(datashare.ContainmentLiftApplied(order_id=order.order_id, grants=freed))

    # The gateway's stand-in

    async def _service_token(self, request: Request) -> JSONResponse:
        scheme, _, value = request.headers["authorization"].partition(" ")
        user, _, password = base64.b64decode(value).decode().partition(":")
        form = (await request.body()).decode()
        asked = (scheme, unquote(user), unquote(password), form)
        if asked != ("Basic", CLIENT, SECRET, "grant_type=client_credentials"):
            return JSONResponse({"error": "invalid_client"}, 401)
        self.tokens_issued += 1
        return JSONResponse({"access_token": self.token(CLIENT), "token_type": "Bearer", "expires_in": 600})

    async def _issue_probe(self, request: Request) -> JSONResponse:
        assert self.verifier.authenticate_and_check_revocation(bearer_token(request)).subject == CLIENT
        body = await request.json()
        order = self.orders.get(UUID(body["order_id"]))
        if order is None:
            return JSONResponse({"type": "urn:xindun:problem:not-found", "status": 404}, 404)
        subject = f"{body['subject']['kind']}:{body['subject']['id']}"
        epoch = self.before[UUID(body["order_id"])] if body["kind"] == "before" else self.epochs[subject]
        token = self.token(subject, epc=epoch, probe=body["order_id"])
        return JSONResponse({"access_token": token, "token_type": "Bearer", "subject": body["subject"]}, 201)

    async def _query(self, request: Request) -> JSONResponse:
        body = await request.json()
        if self.bend and (bent := self.bend(body)):
            return bent
        principal = self.verifier.authenticate_and_check_revocation(bearer_token(request))
        self.probes.append({"subject": principal.subject} | body)
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

    def report_body(self, **scope) -> dict:
        now = self.clock.now()
        return {
            "kind": "leak",
            "description": "接入系统的日志含有导出的信用记录",
            "occurred_at": None,
            "detected_at": (now - timedelta(minutes=5)).isoformat(),
            "scope": {kind: [str(id_) for id_ in ids] for kind, ids in scope.items()},
        }

    async def report(self, person: Actor, *, wait_ms: int = 5000, **scope) -> httpx.Response:
        return await person.post(f"/breaches?wait_ms={wait_ms}", self.report_body(**scope))

    async def file(self, person: Actor, breach_id: str) -> dict:
        answer = await person.get(f"/breaches/{breach_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def lift(self, proposer: Actor, approver: Actor, breach_id: str, *, wait_ms: int = 5000) -> httpx.Response:
        proposed = await proposer.post(f"/breaches/{breach_id}/lift-proposals", {"reason": "漏洞已修复并复测"})
        assert proposed.status_code == 201, proposed.text
        return await approver.post(
            f"/lift-proposals/{proposed.json()['id']}/approve?wait_ms={wait_ms}", idempotency_key=secrets.token_hex(8)
        )
