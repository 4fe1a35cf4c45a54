"""Times that clients may name: with a zone, and within the years in which the platform can reckon with them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime
from pydantic_core import PydanticCustomError

EARLIEST, LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Beyond them a term added to it may overflow, and the first and last instant of all come back from the database as
infinities without a zone: stored once, they would break every list that they stand in."""


def _within(value: datetime) -> datetime:
    if not EARLIEST <= value < LATEST:
        raise PydanticCustomError("time_out_of_range", "The time must lie in the years 1900 to 2199")
    return value


Timestamp = Annotated[AwareDatetime, AfterValidator(_within)]
"""The type of a time in a request."""
