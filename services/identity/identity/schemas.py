"""Bodies that several capabilities of identity share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class ReasonRequest(BaseModel):
    """The reason for an act, in a person's words."""

    model_config = ConfigDict(extra="forbid")
    reason: Annotated[str, Field(min_length=2, max_length=200)]
