"""One address of a service: its health check, and its idle connections."""

import asyncio
import contextlib
import random
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import structlog

from gateway.exceptions import ConnectError, ConnectionNotAvailable, ReadError
from gateway.http11 import Connection

log = structlog.get_logger()

CONNECT_TIMEOUT = 1.0
READY_TIMEOUT = 2.0
"""Seconds for the response to a health check."""
HEALTH_CHECK_INTERVAL = 1.0
KEEPALIVE_EXPIRY = 30.0
"""Seconds that an idle connection stays open: shorter than the service keeps it."""
READY = 200


@dataclass(frozen=True, slots=True)
class Target:
    """One URL of a service's settings."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def parse(cls, urls: str, ca_file: Path | None) -> list[Self]:
        """Parse one URL, or several separated by commas. Raises `ValueError`."""
        targets = []
        for url in urls.split(","):
            parts = urlsplit(url.strip())
            if (
                parts.scheme not in ("http", "https")
                or not parts.hostname
                or parts.path not in ("", "/")
                or parts.query
            ):
                raise ValueError("an upstream is http://host:port or https://host:port")
            tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
            targets.append(cls(parts.hostname, parts.port or (443 if tls else 80), tls))
        return targets

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Replica:
    """One replica of a service."""

    def __init__(self, target: Target, address: str) -> None:
        self.target, self.address = target, address
        self.host_line = f"host: {target.authority}\r\n".encode()
        self.ready = False
        self.requests = 0
        """Requests in flight."""
        self.generation = 0
        """Counts the connections of the health check, so also the processes seen at this address."""
        self._idle: list[Connection] = []
        self._removed = False
        self._health_connection: Connection | None = None
        self._check_now = asyncio.Event()

    async def connect(self) -> Connection:
        """Open a connection. Raises `ConnectError`."""
        loop = asyncio.get_running_loop()
        tls = self.target.tls
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, connection = await loop.create_connection(
                    lambda: Connection(loop),
                    self.address,
                    self.target.port,
                    ssl=tls,
                    server_hostname=self.target.host if tls else None,
                )
        except (OSError, TimeoutError) as error:  # an invalid certificate is an OSError too
            self.mark_unhealthy()
            raise ConnectError from error
        return connection

    def acquire_idle(self) -> Connection | None:
        """Return the most recently used idle connection."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def release(self, connection: Connection) -> None:
        """End the request on `connection`, and keep the connection where it can take another."""
        if connection.release():
            if self._removed:
                connection.close()
            else:
                self._idle.append(connection)

    def mark_unhealthy(self) -> None:
        """Prefer other replicas until the next health check, which starts now."""
        self.ready = False
        self.close_idle()
        self._check_now.set()

    def close_idle(self) -> None:
        """Close all idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def check_health_periodically(self) -> None:
        """Ask for `/ready` until cancelled."""
        last = ""
        try:
            while True:
                result = await self._check_health()
                self.ready = result == "ready"
                if result != last:
                    log.info(
                        "replica.health",
                        host=self.target.host,
                        address=self.address,
                        port=self.target.port,
                        result=result,
                    )
                    last = result
                if not self.ready:
                    self.close_idle()
                self._close_expired()
                await self._wait_for_next_check()
        finally:
            self._removed = True
            if self._health_connection:
                self._health_connection.close()
            self.close_idle()

    async def _check_health(self) -> str:
        """Ask once, on a connection for health checks alone."""
        try:
            if self._health_connection is None or not self._health_connection.usable:
                self._health_connection = await self.connect()
                self.generation += 1
            connection = self._health_connection
            async with asyncio.timeout(READY_TIMEOUT):
                connection.send_request(b"GET /ready HTTP/1.1\r\n" + self.host_line + b"\r\n", head=False)
                await connection.wait_response()
                while await connection.read_chunk() is not None:
                    pass
        except ConnectError as error:
            return f"no connection: {type(error.__cause__).__name__}"
        except (ConnectionNotAvailable, ReadError, TimeoutError) as error:
            if self._health_connection:
                self._health_connection.close()
            return f"no response: {type(error).__name__}"
        connection.release()
        return "ready" if connection.status == READY else "not ready"

    async def _wait_for_next_check(self) -> None:
        self._check_now.clear()
        wait = HEALTH_CHECK_INTERVAL * random.uniform(0.8, 1.2)  # noqa: S311 - gateways must not check in step
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._check_now.wait()
                await asyncio.sleep(HEALTH_CHECK_INTERVAL / 10)  # one check for many failures
        self._check_now.clear()

    def _close_expired(self) -> None:
        oldest = asyncio.get_running_loop().time() - KEEPALIVE_EXPIRY
        for connection in self._idle:
            if connection.idle_since < oldest:
                connection.close()
        self._idle = [connection for connection in self._idle if connection.usable]
