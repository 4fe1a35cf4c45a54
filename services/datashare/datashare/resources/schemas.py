"""Bodies of the endpoints of resources."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from datashare.schemas import FieldName, ResourceCode


class FieldType(StrEnum):
    """The type of a value, which decides how it is parsed."""

    USCC = "uscc"
    NAME = "name"
    ORGANISATION = "organisation"
    DATE = "date"
    AMOUNT = "amount"
    TEXT = "text"


Mask = Literal["none", "name", "code", "text-hidden", "amount-band"]


class FieldSpec(BaseModel):
    """One field: `name` in the API and in CSV headers, `zh` its label, which a header may carry as well."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FieldName
    zh: Annotated[str, Field(min_length=1, max_length=40)]
    type: FieldType = FieldType.TEXT
    required: bool = False
    mask: Mask = "none"


class ResourceRequest(BaseModel):
    """A resource to register. `subject_field` names a required field of type `uscc`, `name_field` one of type `name`."""

    model_config = ConfigDict(extra="forbid")

    code: ResourceCode
    kind: Literal["record", "statistic", "report"] = "record"
    title: Annotated[str, Field(min_length=1, max_length=100)]
    fields: Annotated[list[FieldSpec], Field(min_length=2, max_length=60)]
    subject_field: str
    name_field: str
    responsible_unit: UUID | None = None
    """Default: the caller's unit, the center."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [key for field in self.fields for key in {field.name, field.zh}]
        if len(names) != len(set(names)):
            raise ValueError("two fields have the same name or label")
        by_name = {field.name: field for field in self.fields}
        for name, type_ in ((self.subject_field, FieldType.USCC), (self.name_field, FieldType.NAME)):
            field = by_name.get(name)
            if field is None or field.type != type_ or not field.required:
                raise ValueError(f"{name} is not a required field of type {type_}")
        if masked := [f.name for f in self.fields if f.mask == "amount-band" and f.type != FieldType.AMOUNT]:
            raise ValueError(f"only amounts have bands: {masked}")
        return self


class ResourceResponse(BaseModel):
    """A resource; units see only the fields that are open."""

    id: UUID
    code: str
    kind: str
    title: str
    fields: list[FieldSpec]
    subject_field: str
    name_field: str
    responsible_unit: UUID


class LoadResponse(BaseModel):
    """Counts of a load; `repeated` rows were stored already. `again`: the same file was loaded before."""

    id: UUID
    digest: str
    loaded: int
    repeated: int
    rejected: int
    loaded_at: datetime
    again: bool = False


class RejectResponse(BaseModel):
    """A row that was not loaded; `field` is `*` where the row as a whole is wrong."""

    line: int
    field: str
    reason: str
    content: str
