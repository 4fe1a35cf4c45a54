"""Bodies of what is known of producers."""

from datetime import datetime

from pydantic import BaseModel

__all__ = ["GapView", "ProducerView"]


class GapView(BaseModel):
    """Numbers between `after` and `before` that were missing; `missing` says how many of them still are.

    `found_at` None: noticed, and not yet given up, since events may overtake each other.
    """

    after: int
    before: int
    missing: int
    closed: bool
    found_at: datetime | None


class ProducerView(BaseModel):
    """One producer: `last` is its highest known number, `logged` the highest that is in the log."""

    source: str
    last: int
    logged: int
    last_heard_at: datetime | None
    silent: bool
    gaps: list[GapView]
