"""The base of datashare's tables."""

from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from common.storage.database import naming

__all__ = ["Base"]


class Base(MappedAsDataclass, DeclarativeBase):
    """Every model of datashare."""

    metadata = naming()
