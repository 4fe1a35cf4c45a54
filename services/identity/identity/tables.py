"""The base of identity's tables."""

from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

from common.storage.database import naming

__all__ = ["Base"]


class Base(MappedAsDataclass, DeclarativeBase):
    """Every model of identity."""

    metadata = naming()
