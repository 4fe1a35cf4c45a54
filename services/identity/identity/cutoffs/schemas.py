"""What a revoking call answers about its effect."""

from datetime import datetime
from typing import Self

from pydantic import BaseModel

from identity.cutoffs.receipts import Effectiveness

__all__ = ["EffectivenessView"]


class EffectivenessView(BaseModel):
    """Since when and where the subject's credentials are refused.

    `effective_at` null: the bus could not take it yet; it is in force at identity, and everywhere once the bus is back.
    """

    effective_at: datetime | None
    receipts: dict[str, datetime]
    silent: list[str]
    points: str

    @classmethod
    def of(cls, outcome: Effectiveness) -> Self:
        """Build from the collector's outcome."""
        live = len(outcome.points) + len(outcome.silent)
        return cls(
            effective_at=outcome.effective_at,
            receipts=outcome.points,
            silent=outcome.silent,
            points=f"{len(outcome.points)} of {live}",
        )
