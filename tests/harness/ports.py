"""Free TCP ports."""

import contextlib
import random
import socket

PORTS = range(10_000, 18_000)
"""Below the ports of outgoing connections: none of these takes one of ours while its process is down."""


def free_port(count: int = 1) -> int:
    """Return the first of `count` neighbouring ports that are free."""
    while True:
        first = random.SystemRandom().choice(PORTS)
        with contextlib.suppress(OSError), contextlib.ExitStack() as sockets:
            for port in range(first, first + count):
                sockets.enter_context(socket.create_server(("127.0.0.1", port)))
            return first
