"""Bodies of producers."""

from datetime import datetime

from pydantic import BaseModel


class GapResponse(BaseModel):
    """Numbers between `after` and `before` that were missing; `missing` counts those that still are.

    `found_at` None: not recorded as a gap yet, because events may overtake each other.
    """

    after: int
    before: int
    missing: int
    closed: bool
    found_at: datetime | None


class ProducerResponse(BaseModel):
    """One producer: `last` is its highest known number, `logged` the highest that is in the log."""

    source: str
    last: int
    logged: int
    last_heard_at: datetime | None
    silent: bool
    gaps: list[GapResponse]
