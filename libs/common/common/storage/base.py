"""The declarative base of every service's tables."""

from datetime import datetime
from typing import Annotated, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.orm import DeclarativeBase, MappedAsDataclass

BigInt = Annotated[int, 64]
"""The type of a column that counts beyond 32 bits: `Mapped[BigInt]`."""

NAMING_CONVENTION = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}
"""PostgreSQL's own names of constraints, so that a migration in SQL and a model say the same."""


def new_metadata() -> MetaData:
    """Return a MetaData with the naming convention: each service has its own."""
    return MetaData(naming_convention=NAMING_CONVENTION)


class Base(MappedAsDataclass, DeclarativeBase):
    """Maps Python types to the column types that all services use.

    A service derives an abstract base with its own `metadata = new_metadata()`.
    """

    __abstract__ = True
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        UUID: Uuid(),
        str: Text(),
        BigInt: BigInteger(),
        bytes: LargeBinary(),
    }
