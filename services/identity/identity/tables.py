"""The base of identity's tables."""

from common.storage.base import Base as CommonBase
from common.storage.base import new_metadata


class Base(CommonBase):
    """Every model of identity."""

    __abstract__ = True
    metadata = new_metadata()
