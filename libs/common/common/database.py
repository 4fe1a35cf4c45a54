"""A service's database: its engine, its transactions, and what its failures mean to a client."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Self

from sqlalchemy import MetaData, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from common import outbox
from common.problems import Conflict, Invalid, Unavailable
from common.settings import ServiceSettings

__all__ = ["NAMING", "Database", "DatabaseUnavailable", "naming"]

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}
"""PostgreSQL's own names of constraints: what a migration in SQL and a model say is the same."""

AWAY = ("08", "28", "3D", "53", "57P", "58")
"""SQLSTATE classes of a server that is gone, closed to us, full, stopping or broken: nothing was done, try again."""
CONTENTION = ("40001", "40P01", "55P03", "57014", "25P03")
"""Deadlock, serialisation, lock and statement timeouts: rolled back, try again."""


def naming() -> MetaData:
    """Return a new MetaData with the naming convention: each service has its own."""
    return MetaData(naming_convention=NAMING)


class DatabaseUnavailable(Unavailable):
    """The database did not take the transaction now."""

    slug = "database-unavailable"
    zh, en = "数据库暂不可用", "The database is not available now"


class Database:
    """One engine and its transactions."""

    def __init__(self, url: str, *, pool_size: int = 5, tls: SSLContext | None = None) -> None:
        self.engine = create_async_engine(
            url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=5,
            hide_parameters=True,
            connect_args={"timeout": 5, "command_timeout": 20, "ssl": tls or False},
        )
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    @classmethod
    def of(cls, settings: ServiceSettings, *, pool_size: int | None = None) -> Self:
        """Return the database that the settings name."""
        pool_size = settings.pool_size if pool_size is None else pool_size
        return cls(settings.full_database_url(), pool_size=pool_size, tls=settings.database_tls())

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Begin a transaction: leaving the block commits it with its outbox rows, an exception rolls it back.

        Raises `DatabaseUnavailable` when the server is away or too busy; nothing was done then, except when it went
        away during the commit itself: whether that was done, only the server knows, so writes take an idempotency key.
        """
        try:
            async with self._sessions() as session, session.begin():
                await self._connect(session)
                yield session
                await outbox.write(session)
        except DBAPIError as error:
            meaning = self._meaning(error)
            if meaning is None:
                raise
            raise meaning from error
        except (ConnectionError, TimeoutError) as error:
            raise DatabaseUnavailable from error

    @staticmethod
    async def _connect(session: AsyncSession) -> None:
        """Check the connection out before the block runs: an `OSError` of the block, say of a file, is the block's."""
        try:
            await session.connection()
        except (PoolTimeout, OSError) as error:
            raise DatabaseUnavailable from error

    @staticmethod
    def _meaning(error: DBAPIError) -> Exception | None:
        """Return the problem that a client can act on; None for a defect of ours."""
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state.startswith(AWAY) or state in CONTENTION or not state:
            return DatabaseUnavailable()
        if isinstance(error, IntegrityError):
            name = getattr(error.orig.__cause__ if error.orig else None, "constraint_name", None)
            return Conflict(
                "与已有数据或并发修改冲突", "It collides with what is there, or with a change made meanwhile", rule=name
            )
        if state.startswith("22"):
            return Invalid("含有无法存储的值", "A value cannot be stored")
        return None

    async def answers(self) -> bool:
        """Whether the server answers."""
        try:
            async with self._sessions() as session:
                await session.execute(text("SELECT 1"))
        except (DBAPIError, PoolTimeout, OSError):
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
