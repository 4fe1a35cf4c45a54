"""The base of incident's tables."""

from common.storage.base import Base as CommonBase
from common.storage.base import new_metadata


class Base(CommonBase):
    """The base of every model of incident."""

    __abstract__ = True
    metadata = new_metadata()
