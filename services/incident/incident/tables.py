"""The base of incident's tables."""

from common.storage.base import Base as CommonBase
from common.storage.base import new_metadata

__all__ = ["Base"]


class Base(CommonBase):
    """Every model of incident; Python's types stand for the only column types that are used."""

    __abstract__ = True
    metadata = new_metadata()
