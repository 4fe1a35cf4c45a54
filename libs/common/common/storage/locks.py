"""The row locks that services take: one vocabulary, so that lock modes can be compared."""

from typing import TypeVarTuple

from sqlalchemy import Select

Ts = TypeVarTuple("Ts")


def for_update(query: Select[*Ts], *, skip_locked: bool = False, key: bool = False) -> Select[*Ts]:
    """Return `query` locking its rows against every writer (FOR NO KEY UPDATE), read as they are once locked.

    `key` also excludes those who only refer to the row (FOR UPDATE). `skip_locked` leaves out rows that others hold.
    """
    locked = query.with_for_update(key_share=not key, skip_locked=skip_locked)
    return locked.execution_options(populate_existing=True)


def for_share(query: Select[*Ts]) -> Select[*Ts]:
    """Return `query` locking its rows against change (FOR SHARE): several transactions may rely on a row at once."""
    return query.with_for_update(read=True).execution_options(populate_existing=True)
