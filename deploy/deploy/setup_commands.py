"""Commands that run before services start: `python -m deploy.setup_commands databases | migrate SERVICE | topics`.

Each command waits for its server for a bounded time, and is safe to repeat and to run concurrently.
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

log = structlog.get_logger()

T = TypeVar("T")


UNAVAILABLE_ERRORS = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    BusUnavailable,
)
"""Errors of a server that starts, stops or is unreachable. A wrong password is not among them: waiting does not help."""


class SetupError(Exception):
    """A server did not answer in time, or refused a command."""


class SetupSettings(CommonSettings):
    """`XINDUN_JOBS_…`. A command needs only what it uses: `migrate` the owner's password, `topics` no database."""

    model_config = SettingsConfigDict(env_prefix="XINDUN_JOBS_", extra="ignore", hide_input_in_errors=True)

    patience: float = Field(default=120.0, ge=0)
    """Seconds that a command waits for its server."""

    database_host: str = "127.0.0.1"
    """A host name, an address, or the directory of a unix socket."""
    database_port: int = 5432
    database_ca_file: Path | None = None
    """CA certificates that verify the database server; None: no TLS."""
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
    """Replication factor of each topic. `kafka_username` is the super user, which sets passwords and ACLs."""
    kafka_identity_password: SecretStr | None = None
    kafka_datashare_password: SecretStr | None = None
    kafka_incident_password: SecretStr | None = None
    kafka_audit_password: SecretStr | None = None
    kafka_gateway_password: SecretStr | None = None
    kafka_operator_password: SecretStr | None = None

    def secret(self, name: str) -> str:
        """Return the secret `name`. Raises `SystemExit` if it is not set."""
        value: SecretStr | None = getattr(self, name)
        if value is None:
            raise SystemExit(f"未设置 / is not set: XINDUN_JOBS_{name.upper()}")
        return value.get_secret_value()

    def database_tls(self) -> ssl.SSLContext | None:
        """Return the TLS context that verifies the database server; None: no TLS."""
        return ssl.create_default_context(cafile=self.database_ca_file) if self.database_ca_file else None


async def databases(settings: SetupSettings) -> None:
    """Create the database, the owner and the serving role of each service."""
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
    """Migrate the database of `service` to the newest revision, as its owner."""
    password = settings.secret(f"{service}_owner_password")
    url = database_url(f"{service}_owner", password, service, settings.database_host, settings.database_port)
    await _retry(settings, "PostgreSQL", lambda: migrate(url, service, tls=settings.database_tls()))


async def topics(settings: SetupSettings, *, check: bool) -> list[str]:
    """Create topics, set passwords and ACLs of all principals; return the differences from the declaration.

    `check` changes nothing, and needs only the password of `kafka_username`.
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


async def _retry(settings: SetupSettings, server: str, command: Callable[[], Awaitable[T]]) -> T:
    """Run `command` as soon as its server answers. Raises `SetupError`."""
    deadline = time.monotonic() + settings.patience
    backoff = Backoff(0.2, 2.0)
    while True:
        try:
            return await command()
        except (OSError, asyncpg.PostgresError, DBAPIError, BusUnavailable, KafkaRefusedError) as error:
            cause = error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error
            if not isinstance(cause, UNAVAILABLE_ERRORS):
                raise SetupError(f"{server}: {cause}") from error
            delay = backoff.next_delay()
            if time.monotonic() + delay > deadline:
                reason = str(cause.__cause__ or cause) or type(cause).__name__
                raise SetupError(f"{server} 在 {settings.patience:g} 秒内未应答 / did not answer: {reason}") from error
            log.info("job.server_away", server=server, error=type(cause.__cause__ or cause).__name__)
        await asyncio.sleep(delay)


async def _run_command(options: argparse.Namespace, settings: SetupSettings) -> list[str]:
    """Run the command; return the differences that it found."""
    if options.job == "topics":
        return await topics(settings, check=options.check)
    if options.job == "migrate":
        await migrate_service(settings, options.service)
    else:
        await databases(settings)
    return []


def main() -> None:
    """Run one command; exit 1 if it fails, or if `--check` finds a difference."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.setup_commands", description="Set up databases and topics before services start."
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    commands = parser.add_subparsers(dest="job", required=True)
    commands.add_parser("databases", parents=[common], help="create databases and roles, as the superuser")
    migration = commands.add_parser("migrate", parents=[common], help="migrate the tables of a service, as their owner")
    migration.add_argument("service", choices=SERVICES)
    topics_parser = commands.add_parser(
        "topics", parents=[common], help="create topics, set passwords and ACLs, as Kafka's super user"
    )
    topics_parser.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 if anything differs from the declaration"
    )
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
    started_at = time.monotonic()
    found = await _run_command(options, settings)
    result = {
        "job": options.job,
        "service": getattr(options, "service", None),
        "seconds": round(time.monotonic() - started_at, 2),
    }
    log.info("job.done", **result)
    if options.json:
        sys.stdout.write(orjson.dumps(result | {"found": found}).decode() + "\n")
    else:
        sys.stdout.writelines(f"{each}\n" for each in found)
    return found


if __name__ == "__main__":
    main()
