"""The HTTP client of probes: obtains a probe credential and sends a real request through the gateway."""

import time
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from common.clock import Clock
from incident.probes.evaluation import Answer
from incident.probes.plan import ProbeTarget
from incident.probes.task_queue import ProbeAttempt, ProbeTask
from incident.settings import Settings

MAX_PROBE_SECONDS = 5.0
"""A probe sends no further request after this time: with the client's timeouts it ends well within the lease."""
TOKEN_RENEWAL_MARGIN = timedelta(seconds=15)
"""A service token is renewed this long before it expires."""
UNAUTHORIZED, CREATED, OK = 401, 201, 200


class _Token(BaseModel):
    model_config = ConfigDict(extra="ignore")
    access_token: str
    expires_in: int = 60


class _Credential(BaseModel):
    model_config = ConfigDict(extra="ignore")
    access_token: str


class _CredentialError(Exception):
    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ProbeClient:
    """Probes with credentials that identity issues to incident alone. Holds no transaction while it waits."""

    def __init__(self, client: httpx.AsyncClient, settings: Settings, clock: Clock) -> None:
        self._client, self._settings, self._clock = client, settings, clock
        self._token: tuple[str, datetime] | None = None

    async def probe(self, task: ProbeTask) -> list[ProbeAttempt]:
        """Send the requests of one probe, up to the first without an answer. Failures become attempts, never exceptions."""
        attempts: list[ProbeAttempt] = []
        started = time.perf_counter()
        for target in task.targets:
            if time.perf_counter() - started > MAX_PROBE_SECONDS:
                break
            attempt = await self._attempt(task, target)
            attempts.append(attempt)
            if attempt.answer.status == 0:
                break
        return attempts

    async def _attempt(self, task: ProbeTask, target: ProbeTarget) -> ProbeAttempt:
        started = time.perf_counter()
        try:
            credential = await self._credential(task, target)
            started = time.perf_counter()
            answer = await self._query(task, target, credential)
        except _CredentialError as error:
            answer = Answer(0, {"reason": error.reason})
        except httpx.HTTPError:
            answer = Answer(0, {"reason": "gateway-unreachable"})
        spent = round((time.perf_counter() - started) * 1000)
        return ProbeAttempt(target, answer, spent, self._clock.now())

    async def _query(self, task: ProbeTask, target: ProbeTarget, credential: str) -> Answer:
        response = await self._client.post(
            f"{self._settings.gateway_url}/datashare/queries",
            json={
                "grant_id": str(target.grant_id),
                "purpose": target.purpose,
                "case_number": f"PROBE-{task.order_id}",
                "fields": [],
                "limit": 1,
            },
            headers={"authorization": f"Bearer {credential}"},
        )
        return Answer(response.status_code, _members(response))

    async def _credential(self, task: ProbeTask, target: ProbeTarget) -> str:
        response = await self._client.post(
            f"{self._settings.gateway_url}/identity/probes",
            json={
                "order_id": str(task.order_id),
                "kind": target.kind,
                "subject": {"kind": target.subject_kind, "id": str(target.subject_id)},
            },
            headers={"authorization": f"Bearer {await self._own_token()}"},
        )
        if response.status_code == UNAUTHORIZED:
            self._token = None
        if response.status_code not in (OK, CREATED):
            raise _CredentialError(f"no-probe-credential-{response.status_code}")
        try:
            return _Credential.model_validate(_members(response)).access_token
        except ValidationError:
            raise _CredentialError("no-probe-credential") from None

    async def _own_token(self) -> str:
        """Return incident's own service token, renewed shortly before it expires."""
        now = self._clock.now()
        if self._token is None or self._token[1] <= now:
            # RFC 6749 §2.3.1: both are form-encoded first; a bare colon would end the client id.
            user = quote(self._settings.client_id, safe="")
            secret = quote(self._settings.client_secret.get_secret_value(), safe="")
            response = await self._client.post(
                f"{self._settings.gateway_url}/identity/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=httpx.BasicAuth(user, secret),
            )
            if response.status_code != OK:
                raise _CredentialError(f"no-service-token-{response.status_code}")
            try:
                token = _Token.model_validate(_members(response))
            except ValidationError:
                raise _CredentialError("no-service-token") from None
            self._token = token.access_token, now + timedelta(seconds=token.expires_in) - TOKEN_RENEWAL_MARGIN
        return self._token[0]


def _members(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
