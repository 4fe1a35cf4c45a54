"""Bodies of proposals to lift."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["LiftRequest"]


class LiftRequest(BaseModel):
    """Why the containment can end."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=4, max_length=1000)]
