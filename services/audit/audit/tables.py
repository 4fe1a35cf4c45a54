"""The base of audit's tables."""

from common.storage.base import Base as CommonBase
from common.storage.base import new_metadata


class Base(CommonBase):
    """The base of every model of audit; their rows are inserted and read, never changed (P8)."""

    __abstract__ = True
    metadata = new_metadata()
