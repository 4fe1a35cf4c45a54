"""The base of incident's tables."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import DateTime, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from common.storage.database import naming

__all__ = ["Base"]


class Base(MappedAsDataclass, DeclarativeBase):
    """Every model of incident; Python's types stand for the only column types that are used."""

    metadata = naming()
    type_annotation_map: ClassVar = {datetime: DateTime(timezone=True), UUID: Uuid(), str: Text()}
