"""Set-up commands that run before services start: `python -m deploy.setup_commands databases | migrate SERVICE | topics`.

Each job waits for its server for a bounded time, is safe to repeat, and safe when several run at once.
"""

import argparse
import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
import orjson
import structlog
import uvloop
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from sqlalchemy.exc import DBAPIError

from common.backoff import Backoff
from common.contracts.services import SERVICES
from common.contracts.topics import PRINCIPALS, TOPICS
from common.log_config import configure_logging
from common.messaging.bus import BusUnavailable
from common.messaging.kafka import security_of
from common.settings import CommonSettings
from common.storage.migrations import migrate
from deploy.kafka_admin import KafkaAdmin, KafkaRefusedError
from deploy.provisioning import database_url, ensure_databases

__all__ = ["SetupError", "SetupSettings", "main"]

log = structlog.get_logger()

T = TypeVar("T")


AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    BusUnavailable,
)
"""What a server that starts, stops or is out of reach answers; a wrong password is no matter of waiting."""


class SetupError(Exception):
    """A server did not answer in time, or refused."""


class SetupSettings(CommonSettings):
    """`XINDUN_JOBS_…`. A job needs what it uses: `migrate` no other password than the owner's, `topics` no database."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_JOBS_", extra="ignore", hide_input_in_errors=True)

    patience: float = Field(default=120.0, ge=0)
    """Seconds that a job waits for its server before it gives up."""

    database_host: str = "127.0.0.1"
    """A name, an address, or the directory of a unix socket."""
    database_port: int = 5432
    database_ca_file: Path | None = None
    """The authority that signed the server's certificate; None speaks to it without TLS."""
    superuser: str = "postgres"
    superuser_password: SecretStr | None = None
    identity_owner_password: SecretStr | None = None
    identity_app_password: SecretStr | None = None
    datashare_owner_password: SecretStr | None = None
    datashare_app_password: SecretStr | None = None
    incident_owner_password: SecretStr | None = None
    incident_app_password: SecretStr | None = None
    audit_owner_password: SecretStr | None = None
    audit_app_password: SecretStr | None = None

    replicas: int = Field(default=1, ge=1)
    """How many brokers keep each topic. `kafka_username` is the super user: it gives the others passwords and rights."""
    kafka_identity_password: SecretStr | None = None
    kafka_datashare_password: SecretStr | None = None
    kafka_incident_password: SecretStr | None = None
    kafka_audit_password: SecretStr | None = None
    kafka_gateway_password: SecretStr | None = None
    kafka_operator_password: SecretStr | None = None

    def secret(self, name: str) -> str:
        """Return the secret `name`. Raises `SystemExit` when it is not set."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise SystemExit(f"未设置 / is not set: XINDUN_JOBS_{name.upper()}")
        return value.get_secret_value()

    def database_tls(self) -> ssl.SSLContext | None:
        """Return how the database server has to prove itself; None: the connection stays without TLS."""
        return ssl.create_default_context(cafile=self.database_ca_file) if self.database_ca_file else None


async def databases(settings: SetupSettings) -> None:
    """Give each service its database, its owner and its serving role."""
    passwords = {
        f"{service}_{kind}": settings.secret(f"{service}_{kind}_password")
        for service in SERVICES
        for kind in ("owner", "app")
    }
    url = database_url(
        settings.superuser,
        settings.secret("superuser_password"),
        "postgres",
        settings.database_host,
        settings.database_port,
    )
    admin, tls = url.replace("+asyncpg", "", 1), settings.database_tls()
    await _retry(settings, "PostgreSQL", lambda: ensure_databases(admin, SERVICES, passwords, tls=tls))


async def migrate_service(settings: SetupSettings, service: str) -> None:
    """Bring the database of `service` to its newest version, as its owner."""
    password = settings.secret(f"{service}_owner_password")
    url = database_url(f"{service}_owner", password, service, settings.database_host, settings.database_port)
    await _retry(settings, "PostgreSQL", lambda: migrate(url, service, tls=settings.database_tls()))


async def topics(settings: SetupSettings, *, check: bool) -> list[str]:
    """Create the topics, give each principal its password and its rights; return what is not as it is declared.

    `check` changes nothing, and needs no password but its own.
    """
    if not settings.kafka_bootstrap:
        raise SystemExit("未设置 / is not set: XINDUN_JOBS_KAFKA_BOOTSTRAP")
    bootstrap, security, declared = settings.kafka_bootstrap, security_of(settings), list(TOPICS.values())
    principals = () if check else PRINCIPALS
    passwords = {name: settings.secret(f"kafka_{name}_password") for name in principals}

    def ensure() -> list[str]:
        admin = KafkaAdmin(bootstrap, security)
        if not check:
            admin.set_passwords(passwords)
        drift = admin.ensure_topics(declared, replicas=settings.replicas, check=check)
        return [*drift, *admin.ensure_acls(declared, check=check)]

    return await _retry(settings, "Kafka", lambda: asyncio.to_thread(ensure))


async def _retry(settings: SetupSettings, server: str, job: Callable[[], Awaitable[T]]) -> T:
    """Do the job as soon as its server answers. Raises `SetupError`."""
    deadline = time.monotonic() + settings.patience
    backoff = Backoff(0.2, 2.0)
    while True:
        try:
            return await job()
        except (OSError, asyncpg.PostgresError, DBAPIError, BusUnavailable, KafkaRefusedError) as error:
            cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
            if not isinstance(cause, AWAY):
                raise SetupError(f"{server}: {cause}") from error
            delay = backoff.next_delay()
            if time.monotonic() + delay > deadline:
                reason = str(cause.__cause__ or cause) or type(cause).__name__
                raise SetupError(f"{server} 在 {settings.patience:g} 秒内未应答 / did not answer: {reason}") from error
            log.info("job.server_away", server=server, error=type(cause.__cause__ or cause).__name__)
        await asyncio.sleep(delay)


async def _job(options: argparse.Namespace, settings: SetupSettings) -> list[str]:
    """Do the job; return what it found that is not as it should be."""
    if options.job == "topics":
        return await topics(settings, check=options.check)
    if options.job == "migrate":
        await migrate_service(settings, options.service)
    else:
        await databases(settings)
    return []


def main() -> None:
    """Do one job; exit 0 when it is done, and with `--check` when there was nothing to find."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.setup_commands", description="What has to be done before services start."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="say on standard output what was done, as JSON")
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("databases", parents=[common], help="databases and roles, as the superuser")
    migrating = jobs.add_parser("migrate", parents=[common], help="tables, as the owner")
    migrating.add_argument("service", choices=SERVICES)
    bus = jobs.add_parser("topics", parents=[common], help="topics, passwords and rights on Kafka, as its super user")
    bus.add_argument("--check", action="store_true", help="change nothing; exit 1 when anything is not as declared")
    options = parser.parse_args()
    settings = SetupSettings.load()
    configure_logging(settings.log_level, sys.stderr)
    try:
        found = uvloop.run(_run(options, settings))
    except SetupError as error:
        sys.exit(str(error))
    if found and options.job == "topics" and options.check:
        sys.exit(1)


async def _run(options: argparse.Namespace, settings: SetupSettings) -> list[str]:
    began = time.monotonic()
    found = await _job(options, settings)
    done = {
        "job": options.job,
        "service": getattr(options, "service", None),
        "seconds": round(time.monotonic() - began, 2),
    }
    log.info("job.done", **done)
    if options.json:
        sys.stdout.write(orjson.dumps(done | {"found": found}).decode() + "\n")
    else:
        sys.stdout.writelines(f"{each}\n" for each in found)
    return found


if __name__ == "__main__":
    main()
