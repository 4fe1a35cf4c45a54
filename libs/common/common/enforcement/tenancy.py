"""Tenancy: which unit's things a principal may see (clause 7.5). Authority and center see all units."""

from uuid import UUID

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.problems import Forbidden, NotFound


def sees_all_units(principal: Principal) -> bool:
    """Whether other units' things exist for the principal."""
    return principal.unit_kind in (UnitKind.AUTHORITY, UnitKind.CENTER)


def visible_unit(principal: Principal) -> UUID | None:
    """Return the unit to which every query of the principal is confined; None for authority and center.

    Raises `Forbidden` for a principal without a unit.
    """
    if sees_all_units(principal):
        return None
    if principal.unit is None:
        raise Forbidden(clause="7.5")
    return principal.unit


def requested_unit(principal: Principal, unit: UUID | None) -> UUID | None:
    """Return the unit that a list is confined to, when the request names `unit`; None for all.

    Raises `NotFound` when the request names another unit than the principal may see, `Forbidden`.
    """
    visible = visible_unit(principal)
    if visible is not None and unit not in (None, visible):
        raise NotFound
    return visible or unit
