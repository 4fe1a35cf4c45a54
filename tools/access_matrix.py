"""Who may use which endpoint, as a table made from the routes and the posts."""

from collections.abc import Mapping

from fastapi import FastAPI

from common.contracts.permissions import PERMISSIONS, POSTS
from common.enforcement.permissions import UnitKind
from tools.api_inventory import Door, doors

__all__ = ["OWNED", "ROLES", "USING", "allowed", "hides", "matrix_document"]

ROLES: dict[str, tuple[str, frozenset[str]]] = {
    "authority-officer": ("account", frozenset(POSTS[UnitKind.AUTHORITY]["authority-officer"])),
    "center-officer": ("account", frozenset(POSTS[UnitKind.CENTER]["center-officer"])),
    "unit-administrator": ("account", frozenset(POSTS[UnitKind.AGENCY]["unit-administrator"])),
    "credit-clerk": ("account", frozenset(POSTS[UnitKind.AGENCY]["credit-clerk"])),
    "newcomer": ("account", frozenset()),
    "connected-system": (
        "system",
        frozenset(name for name, permission in PERMISSIONS.items() if permission.system),
    ),
}
"""The roles that the platform begins with; a newcomer is signed in and has no post."""


def allowed(door: Door, role: str) -> bool:
    """Whether the role's permissions open the door; whose things lie behind it is asked inside."""
    return door.requires is None or door.requires.permission is None or door.requires.permission.name in ROLES[role][1]


USING = ("unit-administrator", "credit-clerk", "newcomer", "connected-system")
"""The roles of a using unit: they are confined to it."""
OWNED = frozenset(
    (
        "account_id",
        "agreement_id",
        "application_id",
        "appointment_id",
        "attempt_id",
        "departure_id",
        "grant_id",
        "handover_id",
        "incident_id",
        "system_id",
        "unit_id",
    )
)
"""Path parameters that name something of one unit."""


def hides(door: Door, role: str) -> bool:
    """Whether the door is open to a role of a using unit, and so must deny that another unit's thing exists."""
    named = any("{" + name + "}" in door.path for name in OWNED)
    return named and door.requires is not None and role in USING and allowed(door, role)


def matrix_document(services: Mapping[str, FastAPI]) -> str:
    """Return `docs/access-matrix.md`."""
    rows = [
        "# Who may use which endpoint",
        "",
        "Made from the routes by `make generate`; `tests/platform/test_access_matrix.py` walks every cell of it.",
        "",
        "`yes`: the post's permissions open it. `403`: refused and on record. `public`: no credential. Class A acts read",
        "credit data, open it or widen access: they are refused while nobody could revoke. The last column: for whom",
        "another unit's thing is answered exactly like one that never was (404).",
        "",
        "| endpoint | permission | class A | " + " | ".join(ROLES) + " | another unit's: as if it never was |",
        "|---|---|---|" + "---|" * (len(ROLES) + 1),
    ]
    for door in sorted(doors(services), key=lambda door: (door.path, door.method)):
        if door.requires is None:
            cells = ["public"] * len(ROLES)
            permission, class_a = "", ""
        else:
            cells = ["yes" if allowed(door, role) else "403" for role in ROLES]
            permission = door.requires.permission.name if door.requires.permission else "(any credential)"
            class_a = "A" if door.requires.class_a else ""
        cells.append(", ".join(role for role in USING if hides(door, role)))
        rows.append(f"| `{door.method} {door.path}` | {permission} | {class_a} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
