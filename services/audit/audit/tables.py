"""The base of audit's tables."""

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from common.storage.database import naming

__all__ = ["Base"]


class Base(MappedAsDataclass, DeclarativeBase):
    """Every model of audit: rows that are inserted and read, never changed (P8)."""

    metadata = naming()
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        str: Text(),
        int: BigInteger(),
        bytes: LargeBinary(),
    }
