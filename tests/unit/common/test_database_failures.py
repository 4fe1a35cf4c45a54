"""What the driver raises when the server is gone, as a client hears it."""

import asyncpg
import pytest

from common.storage.database import DatabaseUnavailable, _failures

LOST = [
    asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"),
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_server_that_is_gone_is_unavailable_whatever_the_driver_makes_of_it(error):
    with pytest.raises(DatabaseUnavailable), _failures():
        raise error


def test_what_is_no_matter_of_waiting_is_not_called_unavailable():
    with pytest.raises(asyncpg.UndefinedTableError), _failures():
        raise asyncpg.UndefinedTableError
