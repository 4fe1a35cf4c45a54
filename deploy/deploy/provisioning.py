"""Creates a database and two roles for each service, isolated from those of other services."""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from ssl import SSLContext
from urllib.parse import quote

import asyncpg

_SERVING_LIMITS = {"statement_timeout": "15s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}
_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS"
_SETUP_LOCK = 0x78696E64756E
"""Advisory lock that serialises concurrent set-up commands."""


def database_url(user: str, password: str, database: str, host: str, port: int = 5432) -> str:
    """Return the SQLAlchemy URL of `database`; `host` is a name or the directory of a unix socket."""
    where = f"?host={quote(host, safe='/')}&port={port}"
    return f"postgresql+asyncpg://{quote(user, safe='')}:{quote(password, safe='')}@/{quote(database, safe='')}{where}"


async def ensure_databases(
    admin_dsn: str, services: Sequence[str], passwords: Mapping[str, str], *, tls: SSLContext | None = None
) -> None:
    """Create for each service the database `<service>` and the roles `<service>_owner` and `<service>_app`.

    The owner migrates. The other role serves: it may connect and use the schema; migrations grant the rest. No role may
    connect to another service's database. `passwords` maps roles to passwords (printable ASCII); a changed one takes
    effect. Safe to repeat and to run concurrently. `admin_dsn` is a superuser's DSN for asyncpg.
    """
    admin = await asyncpg.connect(admin_dsn, ssl=tls or False)
    try:
        await admin.execute("SELECT pg_advisory_lock($1)", _SETUP_LOCK)
        for common in ("postgres", "template1"):
            await admin.execute(f"REVOKE ALL ON DATABASE {common} FROM PUBLIC")
        for service in services:
            owner, app = _name(f"{service}_owner"), _name(f"{service}_app")
            for role in (owner, app):
                await _ensure_role(admin, role, passwords[role])
            for setting, value in _SERVING_LIMITS.items():
                await admin.execute(f"ALTER ROLE {app} SET {setting} = '{value}'")
            if not await admin.fetchval("SELECT true FROM pg_database WHERE datname = $1", service):
                await admin.execute(f"CREATE DATABASE {_name(service)} OWNER {owner}")
            await admin.execute(f"REVOKE ALL ON DATABASE {service} FROM PUBLIC")
            await admin.execute(f"GRANT CONNECT ON DATABASE {service} TO {app}")
            inside = await asyncpg.connect(admin_dsn, database=service, ssl=tls or False)
            try:
                await inside.execute(
                    f"""
                    REVOKE ALL ON SCHEMA public FROM PUBLIC;
                    GRANT USAGE ON SCHEMA public TO {app};
                    ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
                    """
                )
            finally:
                await inside.close()
    finally:
        await admin.close()


async def copy_database(admin: asyncpg.Connection, template: str, name: str, owner: str) -> None:
    """Copy `template` (no open connections) with its CONNECT privileges, which PostgreSQL does not copy."""
    await admin.execute(f"CREATE DATABASE {_name(name)} TEMPLATE {_name(template)} OWNER {_name(owner)}")
    await admin.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
    allowed = await admin.fetch(
        "SELECT pg_get_userbyid(grantee) AS role FROM pg_database, aclexplode(datacl)"
        " WHERE datname = $1 AND grantee NOT IN (0, datdba) AND privilege_type = 'CONNECT'",
        template,
    )
    for row in allowed:
        await admin.execute(f"GRANT CONNECT ON DATABASE {name} TO {_name(row['role'])}")


async def drop_database(admin: asyncpg.Connection, name: str) -> None:
    """Drop database `name` if it exists, and end its connections."""
    await admin.execute(f"DROP DATABASE IF EXISTS {_name(name)} WITH (FORCE)")


async def _ensure_role(admin: asyncpg.Connection, role: str, password: str) -> None:
    stored = await admin.fetchrow("SELECT rolpassword FROM pg_authid WHERE rolname = $1", role)
    await admin.execute(f"{'ALTER' if stored else 'CREATE'} ROLE {role} {_ATTRIBUTES}")
    known = stored["rolpassword"] if stored else None
    salt = base64.b64decode(known.split("$")[1].split(":")[1]) if known else secrets.token_bytes(16)
    verifier = _scram_verifier(password, salt)
    if verifier != known:
        await admin.execute(f"ALTER ROLE {role} PASSWORD '{_scram_verifier(password, secrets.token_bytes(16))}'")


def _scram_verifier(password: str, salt: bytes) -> str:
    """Return the verifier that PostgreSQL stores (RFC 5803, RFC 7677), so that the password itself is not sent."""
    if not password or not re.fullmatch(r"[ -~]+", password):
        # Other characters need SASLprep; passwords of roles are generated.
        raise ValueError("the password of a role must be printable ASCII")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256$4096:{parts[0]}${parts[1]}:{parts[2]}"


def _name(identifier: str) -> str:
    """Return `identifier` if SQL needs no quotes for it. Raises `ValueError`."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", identifier):
        raise ValueError(f"not a name for a role or a database: {identifier!r}")
    return identifier
