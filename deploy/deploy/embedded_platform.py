"""The whole platform in one process: the four services, the gateway, the in-process bus, and PostgreSQL from its wheel."""

import argparse
import asyncio
import base64
import contextlib
import gc
import json
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import httpx
import uvloop
from fastapi import FastAPI
from pydantic import SecretStr

import audit.main
import datashare.main
import identity.main
import incident.main
from audit.settings import Settings as AuditSettings
from audit.tlog.signed_notes import generate_signer
from common.clock import Clock
from common.contracts.services import SERVICES
from common.contracts.topics import TOPICS
from common.enforcement.tokens import SigningKey
from common.log_config import configure_logging
from common.messaging.in_process import InProcessBus
from common.storage.migrations import migrate
from common.web.http_server import HttpServer, http_server
from datashare.settings import Settings as DatashareSettings
from deploy.embedded_postgres import AlreadyRunningError, EmbeddedPostgres, PostgresError, ensure_databases
from gateway.in_process import InProcessUpstream
from gateway.main import create_app
from gateway.settings import Settings as GatewaySettings
from identity.settings import Settings as IdentitySettings
from incident.settings import Settings as IncidentSettings

LOG_ORIGIN = "xindun.local/audit"
MAX_LOG_BYTES = 64 << 20
"""A start with a longer log file renames it and opens a new one."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """All secrets of an embedded platform: generated once, in a file that only its user can read."""

    roles: dict[str, str]
    signing_key: str
    sealing_key: str
    pepper: str
    incident_client: str
    log_key: str

    @classmethod
    def generate(cls) -> Self:
        """Generate new secrets at random."""
        return cls(
            roles={f"{service}_{kind}": secrets.token_urlsafe(32) for service in SERVICES for kind in ("owner", "app")},
            signing_key=SigningKey.generate().to_pem(),
            sealing_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            pepper=secrets.token_urlsafe(32),
            incident_client=secrets.token_urlsafe(32),
            log_key=generate_signer(LOG_ORIGIN).private_text(),
        )

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Read the secrets of `directory`; generate them the first time."""
        path = directory / "secrets.json"
        if not path.exists():
            generated = cls.generate()
            directory.mkdir(parents=True, exist_ok=True)
            temporary = path.with_suffix(".new")
            with open(temporary, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                json.dump({name: getattr(generated, name) for name in cls.__slots__}, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        return cls(**json.loads(path.read_text()))


class EmbeddedPlatform:
    """A running platform. `apps` holds the services by name; `gateway` is the application that a server serves."""

    def __init__(self, directory: Path, *, port: int, clock: Clock | None = None) -> None:
        self.directory, self.port, self.clock = directory, port, clock
        self.apps: dict[str, FastAPI] = {}
        self._exit_stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything but the HTTP server. Raises `AlreadyRunningError`, `PostgresError`."""
        try:
            await self._start()
        except BaseException:
            await self._exit_stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop everything in reverse order."""
        await self._exit_stack.aclose()

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        postgres = await asyncio.to_thread(EmbeddedPostgres.start, self.directory)
        self._exit_stack.push_async_callback(asyncio.to_thread, postgres.stop)
        known = Secrets.of(self.directory)
        await ensure_databases(postgres.admin_dsn, SERVICES, known.roles)
        for service in SERVICES:
            await migrate(postgres.url(f"{service}_owner", known.roles[f"{service}_owner"], service), service)
        bus = InProcessBus(TOPICS, self.directory / "bus")
        self._exit_stack.push_async_callback(bus.stop)
        urls = {s: postgres.url(f"{s}_app", known.roles[f"{s}_app"], s) for s in SERVICES}
        self.apps = build_services(known, urls, bus, f"http://127.0.0.1:{self.port}", clock=self.clock)
        for app in self.apps.values():
            await self._exit_stack.enter_async_context(app.router.lifespan_context(app))
        # The bus starts last: a subscriber would miss publications from before its subscription.
        await bus.start()
        upstreams = {name: InProcessUpstream(app) for name, app in self.apps.items()}
        settings = GatewaySettings(port=self.port, show_metrics=True)
        self.gateway = create_app(settings, bus, upstreams, clock=self.clock)


def identity_settings(known: Secrets, url: str) -> IdentitySettings:
    """Return identity's settings for the database at `url`."""
    return IdentitySettings(
        database_url=SecretStr(url),
        signing_key_pem=SecretStr(known.signing_key),
        totp_key=SecretStr(known.sealing_key),
        pepper=SecretStr(known.pepper),
        incident_client_secret_hash=sha256(known.incident_client.encode()).hexdigest(),
    )


def build_services(
    known: Secrets,
    urls: Mapping[str, str],
    bus: InProcessBus,
    gateway_url: str,
    *,
    clock: Clock | None = None,
    gateway_client: httpx.AsyncClient | None = None,
) -> dict[str, FastAPI]:
    """Return the four services on the databases at `urls` and one bus."""
    datashare_settings = DatashareSettings(database_url=SecretStr(urls["datashare"]))
    incident_settings = IncidentSettings(
        database_url=SecretStr(urls["incident"]),
        gateway_url=gateway_url,
        client_secret=SecretStr(known.incident_client),
    )
    audit_settings = AuditSettings(
        database_url=SecretStr(urls["audit"]), log_key=SecretStr(known.log_key), log_origin=LOG_ORIGIN
    )
    return {
        "identity": identity.main.create_app(identity_settings(known, urls["identity"]), bus, clock=clock),
        "datashare": datashare.main.create_app(datashare_settings, bus, clock=clock),
        "incident": incident.main.create_app(incident_settings, bus, clock=clock, gateway_client=gateway_client),
        "audit": audit.main.create_app(audit_settings, bus, clock=clock),
    }


async def _run(directory: Path, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    async with EmbeddedPlatform(directory, port=port) as platform:
        server = http_server(platform.gateway, host=host, port=port)
        announcing = asyncio.create_task(_announce(server, host, port, directory))
        try:
            await server.serve(sockets=[listener])
        finally:
            announcing.cancel()
            print("信盾已停止。/ Xindun has stopped.", flush=True)


async def _announce(server: HttpServer, host: str, port: int, directory: Path) -> None:
    while not server.started:
        await asyncio.sleep(0.02)
    gc.collect()
    gc.freeze()  # objects of the start-up live as long as the process: the collector can skip them
    base = f"http://{host}:{port}"
    print(
        f"""
信盾 Xindun  {base}
  API 文档 / API docs   {base}/docs
  健康 / health         {base}/health   就绪 / ready  {base}/ready
  首批管理员 / first administrators: make admins   (打印一次激活码 / prints activation codes once)
  首个令牌 / first token: POST {base}/identity/activations …/confirm, then POST {base}/identity/sessions  (README)
  日志 / log            {directory}/platform.log
""",
        flush=True,
    )


def _bind(host: str, port: int) -> socket.socket:
    """Bind the port before anything starts, so that a port in use is reported at once."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        sys.exit(
            f"{host}:{port} 不可用，可用 PORT= 换端口 / cannot be bound, choose another with PORT=: {error.strerror}"
        )
    return listener


def _open_log(directory: Path) -> Any:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "platform.log"
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    return path.open("a", buffering=1, encoding="utf-8")


def main() -> None:
    """`python -m deploy.embedded_platform [--data DIR] [--host HOST] [--port PORT]`."""
    parser = argparse.ArgumentParser(description="Run the whole platform in one process.")
    parser.add_argument(
        "--data", type=Path, help="data directory", default=Path(os.environ.get("XINDUN_DATA", ".data"))
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    directory = options.data.resolve()
    configure_logging("info", _open_log(directory))
    try:
        with _bind(options.host, options.port) as listener:
            uvloop.run(_run(directory, listener))
    except (AlreadyRunningError, PostgresError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
