"""Bodies about enforcement points, their receipts, and the effect of cutoffs."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from identity.acknowledgements.collector import Effectiveness
from identity.acknowledgements.models import ReceiptRow
from identity.cutoffs.models import CutoffRow


class EffectivenessResponse(BaseModel):
    """Since when and where the subject's credentials are refused.

    `effective_at` null: the bus did not hold the cutoff yet. It is in force at identity, and everywhere once the bus is back.
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


NOT_YET_EFFECTIVE = EffectivenessResponse(effective_at=None, receipts={}, silent=[], points="0 of 0")
"""The stored answer of a revoking call between its commit and the last receipt."""


class PointResponse(BaseModel):
    """An enforcement point; `live`: it decides, and revocations wait for its receipt. Ages in seconds."""

    point: str
    live: bool
    last_sign_age: float


class ReceiptResponse(BaseModel):
    """When a point had applied a cutoff, by its own clock; `delay` in seconds, by both clocks."""

    point: str
    applied_at: datetime
    delay: float


class CutoffResponse(BaseModel):
    """One cutoff with its receipts. Cutoffs of sessions are not confirmed: their `effective_at` stays null."""

    id: UUID
    subject: str
    reason: str
    cause: str | None
    at: datetime
    effective_at: datetime | None
    receipts: list[ReceiptResponse]

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
                ReceiptResponse(point=r.point, applied_at=r.applied_at, delay=(r.applied_at - row.at).total_seconds())
                for r in receipts
            ],
        )


class PointsResponse(BaseModel):
    """Every point that this instance of identity knows, and the newest cutoffs.

    `knows_all` false: it started too recently to know every point. `bound`: policy, in seconds.
    """

    knows_all: bool
    bound: float
    points: list[PointResponse]
    cutoffs: list[CutoffResponse]
