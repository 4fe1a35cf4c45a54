"""A service's database: its engine, its transactions, and what its failures mean to a client."""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from ssl import SSLContext
from typing import Any, Self

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from common.messaging import outbox
from common.problems import Conflict, Invalid, Unavailable
from common.settings import ServiceSettings

UNAVAILABLE_SQLSTATES = ("08", "28", "3D", "53", "57P", "58")
"""SQLSTATE classes of a server that is gone, closed to us, full, stopping or broken: nothing was done, try again."""
CONTENTION_SQLSTATES = ("40001", "40P01", "55P03", "57014", "25P03")
"""Deadlock, serialisation, lock and statement timeouts: rolled back, try again."""


DRIVER_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Exceptions of the driver; it raises the last one when the server dies during a statement."""


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
            # The one that was busy last has its statements prepared and its caches warm.
            pool_use_lifo=True,
            hide_parameters=True,
            connect_args={"timeout": 5, "command_timeout": 20, "ssl": tls or False},
        )
        event.listen(self.engine.sync_engine, "checkout", _require_open)
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.on_commit: Callable[[], None] = _no_hook
        """Called after the commit of a transaction with events: wakes the relay."""

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
        with _failures():
            async with self._sessions() as session, session.begin():
                await self._connect(session)
                yield session
                has_events = session.in_transaction() and await outbox.flush(session)
        if has_events:
            self.on_commit()

    async def commit(self, session: AsyncSession) -> None:
        """Commit a session of `transaction` before its block ends: its connection goes back to the pool."""
        has_events = await outbox.flush(session)
        await session.commit()
        if has_events:
            self.on_commit()

    @asynccontextmanager
    async def raw_transaction(self, *, begin: bool = True) -> AsyncIterator[asyncpg.Connection]:
        """Begin a transaction on the driver's own connection, for the paths where the ORM costs more than the act.

        It ends and raises as `transaction` does; publish events with `outbox.add_on_connection`. Without `begin`, each
        statement is its own transaction.
        """
        with _failures():
            try:
                pooled = await self.engine.raw_connection()
            except (PoolTimeout, OSError, self.engine.dialect.loaded_dbapi.Error) as error:
                raise DatabaseUnavailable from error
            connection: asyncpg.Connection = pooled.driver_connection
            try:
                async with connection.transaction() if begin else nullcontext():
                    yield connection
            finally:
                if connection.is_closed() or connection.is_in_transaction():
                    pooled.invalidate()
                else:
                    pooled.close()
        if begin:
            self.on_commit()

    @staticmethod
    async def _connect(session: AsyncSession) -> None:
        """Check the connection out before the block runs: an `OSError` of the block, say of a file, is the block's."""
        try:
            await session.connection()
        except (PoolTimeout, OSError) as error:
            raise DatabaseUnavailable from error

    async def ping(self) -> bool:
        """Whether the server answers."""
        try:
            async with self._sessions() as session:
                await session.execute(text("SELECT 1"))
        except (DBAPIError, PoolTimeout, OSError, *DRIVER_ERRORS):
            return False
        return True

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()


def _no_hook() -> None:
    """Default commit hook: does nothing, because the relay also polls."""


def _require_open(connection: Any, *_: object) -> None:
    """Invalidate the whole pool at its first dead connection: the server has gone away."""
    if connection.driver_connection.is_closed():
        raise InvalidatePoolError


@contextmanager
def _failures() -> Iterator[None]:
    """Raise failures of the database as what they mean to a client."""
    try:
        yield
    except (DBAPIError, *DRIVER_ERRORS) as error:
        meaning = _meaning(error)
        if meaning is None:
            raise
        raise meaning from error
    except (ConnectionError, TimeoutError) as error:
        raise DatabaseUnavailable from error


def _meaning(error: Exception) -> Exception | None:
    """Return the problem that a client can act on; None for a defect of ours."""
    cause: BaseException = error
    lost = False
    if isinstance(error, DBAPIError):
        cause, lost = getattr(error.orig, "__cause__", None) or error.orig or error, error.connection_invalidated
    state = getattr(cause, "sqlstate", None) or ""
    if lost or state.startswith(UNAVAILABLE_SQLSTATES) or state in CONTENTION_SQLSTATES or not state:
        return DatabaseUnavailable()
    if state.startswith("23"):
        name = getattr(cause, "constraint_name", None)
        return Conflict(
            "与已有数据或并发修改冲突", "It collides with what is there, or with a change made meanwhile", rule=name
        )
    if state.startswith("22"):
        return Invalid("含有无法存储的值", "A value cannot be stored")
    return None


async def driver_connection(session: AsyncSession) -> asyncpg.Connection:
    """Return the driver's connection under a session; its transaction begins with the session's first statement."""
    raw = await (await session.connection()).get_raw_connection()
    connection: asyncpg.Connection = raw.driver_connection
    return connection


class Statement:
    """SQL with named parameters (`:name`) for the driver's own connection, which prepares it once and keeps it."""

    _NAME = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")

    def __init__(self, sql: str) -> None:
        places: dict[str, int] = {}
        self.sql = self._NAME.sub(lambda found: f"${places.setdefault(found[1], len(places) + 1)}", sql)
        self._names = tuple(places)

    async def rows(self, connection: asyncpg.Connection, parameters: Mapping[str, Any]) -> list[asyncpg.Record]:
        """Run it and return its rows."""
        rows: list[asyncpg.Record] = await connection.fetch(self.sql, *[parameters[name] for name in self._names])
        return rows
