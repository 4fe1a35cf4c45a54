"""The base of datashare's tables."""

from common.storage.base import Base as CommonBase
from common.storage.base import new_metadata


class Base(CommonBase):
    """Base of every model of datashare."""

    __abstract__ = True
    metadata = new_metadata()
