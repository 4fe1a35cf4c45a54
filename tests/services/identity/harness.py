"""Runs identity with its first administrators signed in, and with a clock that tests move."""

import base64
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from common.clock import ManualClock
from common.enforcement.tokens import SigningKey
from identity.main import create_app
from identity.settings import Settings
from tests.harness.client import bearer
from tests.harness.databases import ServiceDatabase
from tests.harness.people import People
from tests.harness.polling import eventually
from tests.harness.service import ServiceHarness


class IdentityHarness(ServiceHarness, People):
    name = "identity"

    def __init__(self, database: ServiceDatabase) -> None:
        self.incident_secret = secrets.token_urlsafe(32)
        settings = Settings(
            database_url=SecretStr(database.app),
            signing_key_pem=SecretStr(SigningKey.generate().to_pem()),
            totp_key=SecretStr(base64.b64encode(secrets.token_bytes(32)).decode()),
            pepper=SecretStr(secrets.token_urlsafe(32)),
            incident_client_secret_hash=hashlib.sha256(self.incident_secret.encode()).hexdigest(),
        )
        super().__init__(database, settings, ManualClock(datetime(2026, 3, 2, 8, 0, tzinfo=UTC)))
        People.__init__(self)

    def create_app(self) -> FastAPI:
        return create_app(self.settings, self.bus, clock=self.clock)

    async def start_surroundings(self) -> None:
        """Wait for the key and the first heartbeat, which come by the outbox, and admit the first administrators."""
        point = self.runtime.point
        await point.loaded()
        assert await point.until(lambda: point.keys.jwks()["keys"] and point._revoker_seen_at is not None, 10)
        await eventually(self.runtime.signing_keys.ready)
        await self.bootstrap(self.runtime)

    async def service_token(self, system: dict[str, Any], **form: str) -> httpx.Response:
        return await self.client.post(
            "/identity/oauth/token",
            data={"grant_type": "client_credentials"} | form,
            auth=httpx.BasicAuth(system["client_id"], system["client_secret"]),
        )

    async def with_token(self, token: str, path: str = "/identity/me") -> httpx.Response:
        return await self.client.get(path, headers=bearer(token))
