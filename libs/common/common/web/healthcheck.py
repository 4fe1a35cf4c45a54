"""`python -m common.web.healthcheck [URL]`: exits 0 when the process in this container is ready."""

import socket
import sys
from urllib.parse import urlsplit

__all__ = ["main", "ready"]

TERM = 4.0
"""Seconds."""


def ready(url: str) -> str | None:
    """Return None when `url` answers 200, else in words why not."""
    where = urlsplit(url)
    tls = where.scheme == "https"
    host, port = where.hostname or "127.0.0.1", where.port or (443 if tls else 80)
    try:
        with socket.create_connection((host, port), timeout=TERM) as connection:
            if tls:
                import ssl  # noqa: PLC0415 - takes longer than all the rest

                # To itself: whose certificate it is, its callers check.
                context = ssl._create_unverified_context()  # noqa: S323, SLF001
                connection = context.wrap_socket(connection)
            connection.sendall(
                f"GET {where.path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError as error:
        return f"{url}: {error}"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return None if status == [b"200"] else f"{url}: {head.splitlines()[:1]} {body[:500]!r}"


def main() -> None:
    """Ask, and say why it is not ready."""
    if told := ready(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/ready"):
        sys.exit(told)


if __name__ == "__main__":
    main()
