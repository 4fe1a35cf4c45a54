"""Resources, their records, and what was loaded and rejected."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Identity, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.base import BigInt
from datashare.resources.schemas import FieldSpec
from datashare.tables import Base


class Resource(Base):
    """A resource; `subject_field` (a unified social credit code) and `name_field` name the subject of a record."""

    __tablename__ = "resources"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    title: Mapped[str]
    fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    subject_field: Mapped[str]
    name_field: Mapped[str]
    responsible_unit: Mapped[UUID]
    registered_by: Mapped[UUID]
    registered_at: Mapped[datetime]

    def specs(self) -> list[FieldSpec]:
        """Return the fields in their order."""
        return [FieldSpec.model_validate(field) for field in self.fields]

    def ordered(self, names: set[str]) -> list[str]:
        """Return those of `names` that are fields, in the resource's order."""
        return [field["name"] for field in self.fields if field["name"] in names]


class Load(Base):
    """One file that was loaded; its digest makes a second load of it the same load."""

    __tablename__ = "loads"
    __table_args__ = (UniqueConstraint("resource_id", "digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    digest: Mapped[str]
    loaded: Mapped[int]
    repeated: Mapped[int]
    rejected: Mapped[int]
    loaded_by: Mapped[UUID]
    loaded_at: Mapped[datetime]


class Record(Base):
    """One record; `digest` over its content keeps the same one from standing twice in a resource."""

    __tablename__ = "records"
    __table_args__ = (
        UniqueConstraint("resource_id", "digest"),
        Index(None, "resource_id", "id"),
        Index(None, "resource_id", "subject", "id"),
        Index(None, "resource_id", "subject_name", "id"),
    )

    id: Mapped[BigInt] = mapped_column(Identity(always=True), primary_key=True, init=False)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    load_id: Mapped[UUID] = mapped_column(ForeignKey("loads.id", deferrable=True, initially="DEFERRED"))
    subject: Mapped[str]
    subject_name: Mapped[str]
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[bytes]


class Reject(Base):
    """A rejected row of a file: its line, the field by its CSV name, the reason, and its text."""

    __tablename__ = "rejects"

    load_id: Mapped[UUID] = mapped_column(
        ForeignKey("loads.id", deferrable=True, initially="DEFERRED"), primary_key=True
    )
    line: Mapped[int] = mapped_column(primary_key=True)
    field: Mapped[str]
    reason: Mapped[str]
    content: Mapped[str]
