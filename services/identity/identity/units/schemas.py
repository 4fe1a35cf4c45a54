"""Bodies of the unit endpoints."""

from datetime import datetime
from typing import Self
from uuid import UUID

from pydantic import BaseModel

from common.enforcement.permissions import UnitKind
from identity.acknowledgements.schemas import EffectivenessResponse
from identity.units.csv_import import UnitRowError
from identity.units.models import Level, Unit


class UnitResponse(BaseModel):
    """A unit."""

    id: UUID
    kind: UnitKind
    level: Level
    duties: list[str]
    name: str
    uscc: str
    state: str
    registered_at: datetime
    decommissioned_at: datetime | None

    @classmethod
    def of(cls, unit: Unit) -> Self:
        """Build from a row."""
        return cls.model_validate(unit, from_attributes=True)


class RejectedRowResponse(BaseModel):
    """A row that was not registered; `line` counts from 1, the header included; `column` null: the whole row."""

    line: int
    column: str | None
    reason: str
    reason_zh: str
    reason_en: str

    @classmethod
    def of(cls, refused: UnitRowError) -> Self:
        """Build from a refusal."""
        return cls(
            line=refused.line,
            column=refused.column,
            reason=refused.reason,
            reason_zh=refused.zh,
            reason_en=refused.en,
        )


class UnitImportResponse(BaseModel):
    """The outcome of an import."""

    registered: list[UnitResponse]
    unchanged: list[UnitResponse]
    rejected: list[RejectedRowResponse]


class UnitEffectResponse(BaseModel):
    """The unit, and since when and where its credentials are refused."""

    unit: UnitResponse
    effective: EffectivenessResponse
