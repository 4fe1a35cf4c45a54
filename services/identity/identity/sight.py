"""Whose things a person or system sees: those of the own unit; authority and center see all."""

from uuid import UUID

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal

__all__ = ["border_of"]

NOBODY = UUID(int=0)


def border_of(principal: Principal) -> UUID | None:
    """Return the unit to which a principal is bound, None for authority and center; one without a unit sees nothing."""
    if principal.unit_kind in (UnitKind.AUTHORITY, UnitKind.CENTER):
        return None
    return principal.unit or NOBODY
