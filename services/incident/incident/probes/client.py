"""The wire's half of probing: gets a probe credential and makes a real request, through the door that everybody uses."""

import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from common.clock import Clock
from incident.probes.evaluation import Answer
from incident.probes.plan import Knock
from incident.probes.queue import Attempt, Work
from incident.settings import Settings

__all__ = ["Knocker"]

ROUND_SECONDS = 5.0
"""After this long a probe begins no further request: with the client's own bounds it stays well within the lease."""
EARLY = timedelta(seconds=15)
"""How long before its end a service token is no longer used."""
UNAUTHORIZED, CREATED, OK = 401, 201, 200


class _Token(BaseModel):
    model_config = ConfigDict(extra="ignore")
    access_token: str
    expires_in: int = 60


class _Credential(BaseModel):
    model_config = ConfigDict(extra="ignore")
    access_token: str


class _NoCredential(Exception):  # noqa: N818 - says what is missing
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Knocker:
    """Knocks with probe credentials that identity gives to incident alone. Holds no transaction while it waits."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, clock: Clock) -> None:
        self._client, self._settings, self._clock = client, settings, clock
        self._token: tuple[str, datetime] | None = None

    async def probe(self, work: Work) -> list[Attempt]:
        """Make the requests of one probe; one that brings no answer at all ends it. Never raises for what others do."""
        attempts: list[Attempt] = []
        begun = time.perf_counter()
        for knock in work.knocks:
            if time.perf_counter() - begun > ROUND_SECONDS:
                break
            attempt = await self._attempt(work, knock)
            attempts.append(attempt)
            if attempt.answer.status == 0:
                break
        return attempts

    async def _attempt(self, work: Work, knock: Knock) -> Attempt:
        begun = time.perf_counter()
        try:
            credential = await self._credential(work, knock)
            begun = time.perf_counter()
            answer = await self._query(work, knock, credential)
        except _NoCredential as error:
            answer = Answer(0, {"reason": error.reason})
        except httpx.HTTPError:
            answer = Answer(0, {"reason": "gateway-unreachable"})
        spent = round((time.perf_counter() - begun) * 1000)
        return Attempt(knock, answer, spent, self._clock.now())

    async def _query(self, work: Work, knock: Knock, credential: str) -> Answer:
        response = await self._client.post(
            f"{self._settings.gateway_url}/datashare/queries",
            json={
                "grant_id": str(knock.grant_id),
                "purpose": knock.purpose,
                "case_number": f"PROBE-{work.order_id}",
                "fields": [],
                "limit": 1,
            },
            headers={"authorization": f"Bearer {credential}"},
        )
        return Answer(response.status_code, _members(response))

    async def _credential(self, work: Work, knock: Knock) -> str:
        response = await self._client.post(
            f"{self._settings.gateway_url}/identity/probes",
            json={
                "order_id": str(work.order_id),
                "kind": knock.kind,
                "subject": {"kind": knock.subject_kind, "id": str(knock.subject_id)},
            },
            headers={"authorization": f"Bearer {await self._own_token()}"},
        )
        if response.status_code == UNAUTHORIZED:
            self._token = None
        if response.status_code not in (OK, CREATED):
            raise _NoCredential(f"no-probe-credential-{response.status_code}")
        try:
            return _Credential.model_validate(_members(response)).access_token
        except ValidationError:
            raise _NoCredential("no-probe-credential") from None

    async def _own_token(self) -> str:
        """Return incident's own service token, a new one shortly before the old one ends."""
        now = self._clock.now()
        if self._token is None or self._token[1] <= now:
            # RFC 6749 §2.3.1: both are form-encoded first; the colon of the client id would else end it.
            user = quote(self._settings.client_id, safe="")
            secret = quote(self._settings.client_secret.get_secret_value(), safe="")
            response = await self._client.post(
                f"{self._settings.gateway_url}/identity/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=httpx.BasicAuth(user, secret),
            )
            if response.status_code != OK:
                raise _NoCredential(f"no-service-token-{response.status_code}")
            try:
                token = _Token.model_validate(_members(response))
            except ValidationError:
                raise _NoCredential("no-service-token") from None
            self._token = token.access_token, now + timedelta(seconds=token.expires_in) - EARLY
        return self._token[0]


def _members(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
