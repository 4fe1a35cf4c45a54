"""Whose things a principal sees: authority and center everybody's, all others their own unit's."""

from uuid import UUID

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.problems import Forbidden

__all__ = ["own_unit", "sees_all"]


def sees_all(principal: Principal) -> bool:
    """Whether other units' things exist for the principal."""
    return principal.unit_kind in (UnitKind.AUTHORITY, UnitKind.CENTER)


def own_unit(principal: Principal) -> UUID | None:
    """Return the unit to which a list is confined, None for no border. Raises `Forbidden` for who has no unit."""
    if sees_all(principal):
        return None
    if principal.unit is None:
        raise Forbidden(clause="7.5")
    return principal.unit
