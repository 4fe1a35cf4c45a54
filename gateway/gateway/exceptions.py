"""What can fail between the gateway and a replica, by httpcore's names."""


class ConnectError(Exception):
    """The replica accepts no connection: nothing was sent."""


class ConnectionNotAvailable(Exception):  # noqa: N818 - httpcore's name
    """The connection closed before the request was written: nothing was sent."""


class PoolTimeout(Exception):  # noqa: N818 - httpcore's name
    """Every connection to every replica stayed in use."""


class ReadError(Exception):
    """The connection ended before the response did: the replica may have carried the request out."""


class ReadTimeout(ReadError):  # noqa: N818 - httpcore's name
    """The response did not start in time."""


class RemoteProtocolError(ReadError):
    """The replica's bytes are not HTTP, or exceed a limit."""


class ClientDisconnectedError(Exception):
    """The client closed its connection, or sent a body that cannot be forwarded."""
