"""What a revoking call answers about its effect."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from identity.acknowledgements.service import Effectiveness
from identity.cutoffs.models import CutoffRow, ReceiptRow

__all__ = ["CutoffView", "EffectivenessView", "PointView", "PointsView", "ReceiptView"]


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


class PointView(BaseModel):
    """An enforcement point; `live`: it decides, and revocations wait for it. Ages in seconds."""

    point: str
    live: bool
    last_sign_age: float


class ReceiptView(BaseModel):
    """When a point had applied a cutoff, by its own clock; `delay` in seconds, by both clocks."""

    point: str
    applied_at: datetime
    delay: float


class CutoffView(BaseModel):
    """One cutoff with its receipts. Those of sessions are not waited for: `effective_at` stays null."""

    id: UUID
    subject: str
    reason: str
    cause: str | None
    at: datetime
    effective_at: datetime | None
    receipts: list[ReceiptView]

    @classmethod
    def of(cls, row: CutoffRow, receipts: list[ReceiptRow]) -> Self:
        """Build from the rows."""
        return cls(
            id=row.id,
            subject=row.subject,
            reason=row.reason,
            cause=row.cause,
            at=row.at,
            effective_at=row.effective_at,
            receipts=[
                ReceiptView(point=r.point, applied_at=r.applied_at, delay=(r.applied_at - row.at).total_seconds())
                for r in receipts
            ],
        )


class PointsView(BaseModel):
    """Every point that this instance of identity has heard, and the newest cutoffs.

    `knows_all` false: it listens for too short a time to have heard every point. `bound`: policy, in seconds.
    """

    knows_all: bool
    bound: float
    points: list[PointView]
    cutoffs: list[CutoffView]
