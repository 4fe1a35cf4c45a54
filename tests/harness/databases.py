"""Real PostgreSQL for tests: each service's database migrated once, and copied for each test."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from common.storage.migrations import migrate
from deploy.embedded_postgres import EmbeddedPostgres, copy_database, drop_database, ensure_databases


@dataclass(frozen=True)
class ServiceDatabase:
    """One copy: SQLAlchemy URLs of the serving role and the owner, and the superuser's asyncpg DSN into it."""

    name: str
    app: str
    owner: str
    admin_dsn: str


class Databases:
    """The cluster of a test run; a service's database is made when it is first asked for."""

    def __init__(self, cluster: EmbeddedPostgres) -> None:
        self._cluster = cluster
        self._passwords: dict[str, str] = {}
        self._services: set[str] = set()
        self._copies = 0

    @classmethod
    async def start(cls, directory: Path) -> "Databases":
        databases = cls(EmbeddedPostgres.start(directory))
        admin = await asyncpg.connect(databases._cluster.admin_dsn)
        # What tests prove does not hang on surviving a power cut; the embedded platform keeps fsync on.
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("ALTER SYSTEM SET synchronous_commit = off")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()
        return databases

    async def add(self, service: str, package: str) -> None:
        """Make and migrate the database of a service whose migrations are in `package`, once."""
        if service not in self._services:
            self._services.add(service)
            self._passwords |= {f"{service}_{kind}": secrets.token_urlsafe(16) for kind in ("owner", "app")}
            await ensure_databases(self._cluster.admin_dsn, [service], self._passwords)
            await migrate(self._url(f"{service}_owner", service), package)

    async def copy(self, service: str) -> ServiceDatabase:
        """Return a new database with the service's newest schema and nothing in it but what migrations put there."""
        await self.add(service, service)
        self._copies += 1
        name = f"{service}_copy_{self._copies}"
        admin = await asyncpg.connect(self._cluster.admin_dsn)
        try:
            await copy_database(admin, service, name, f"{service}_owner")
        finally:
            await admin.close()
        return ServiceDatabase(
            name,
            app=self._url(f"{service}_app", name),
            owner=self._url(f"{service}_owner", name),
            admin_dsn=self._cluster.admin_dsn.replace("@/postgres?", f"@/{name}?"),
        )

    async def drop(self, copies: Sequence[ServiceDatabase]) -> None:
        admin = await asyncpg.connect(self._cluster.admin_dsn)
        try:
            for copy in copies:
                await drop_database(admin, copy.name)
        finally:
            await admin.close()

    def _url(self, role: str, database: str) -> str:
        return self._cluster.url(role, self._passwords[role], database)

    def stop(self) -> None:
        self._cluster.stop()
