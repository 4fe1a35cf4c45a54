"""Bodies of the policy endpoints."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.policies import POLICIES
from common.web.timestamps import Timestamp
from identity.policies.models import PolicyRow


class PolicyVersionResponse(BaseModel):
    """One version of a policy."""

    name: str
    version: int
    value: int
    unit: str
    effective_from: datetime
    basis: str
    clause: str
    title: str
    title_en: str
    set_by: str

    @classmethod
    def of(cls, row: PolicyRow) -> Self:
        """Build from a row."""
        policy = POLICIES[row.name]
        return cls(
            name=row.name,
            version=row.version,
            value=row.value,
            unit=policy.unit,
            effective_from=row.effective_from,
            basis=row.basis,
            clause=policy.clause,
            title=policy.zh,
            title_en=policy.en,
            set_by=row.set_by,
        )


class PolicyVersionRequest(BaseModel):
    """A value with its legal basis; without `effective_from` it holds from now on."""

    model_config = ConfigDict(extra="forbid")
    value: Annotated[int, Field(ge=0, le=2**53)]
    effective_from: Timestamp | None = None
    basis: Annotated[str, Field(min_length=2, max_length=200)]
