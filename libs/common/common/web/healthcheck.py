"""Container health check: `python -m common.web.healthcheck [URL]` exits 0 if the process in this container is ready."""

import socket
import sys
from urllib.parse import urlsplit

TIMEOUT = 4.0
"""Seconds."""


def not_ready_reason(url: str) -> str | None:
    """Return None if `url` answers 200, else the reason in words."""
    where = urlsplit(url)
    tls = where.scheme == "https"
    host, port = where.hostname or "127.0.0.1", where.port or (443 if tls else 80)
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT) as connection:
            if tls:
                import ssl  # noqa: PLC0415 - this import takes longer than all the rest

                # The process checks itself; its callers verify the certificate.
                context = ssl._create_unverified_context()  # noqa: S323, SLF001
                connection = context.wrap_socket(connection)
            connection.sendall(
                f"GET {where.path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
            )
            response = b"".join(iter(lambda: connection.recv(4096), b""))
    except OSError as error:
        return f"{url}: {error}"
    head, _, body = response.partition(b"\r\n\r\n")
    status = head.split(b" ", 2)[1:2]
    return None if status == [b"200"] else f"{url}: {head.splitlines()[:1]} {body[:500]!r}"


def main() -> None:
    """Exit with the reason if the process is not ready."""
    if reason := not_ready_reason(sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/ready"):
        sys.exit(reason)


if __name__ == "__main__":
    main()
