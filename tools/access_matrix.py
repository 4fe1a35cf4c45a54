"""Access matrix: the roles that may use each endpoint, from the routes and the default posts."""

from collections.abc import Mapping

from fastapi import FastAPI

from common.contracts.permissions import PERMISSIONS, POSTS
from common.enforcement.permissions import UnitKind
from tools.api_inventory import Endpoint, list_endpoints

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
"""The default posts and their permissions; a newcomer is signed in and has no post."""


def is_allowed(endpoint: Endpoint, role: str) -> bool:
    """Whether the role's permissions allow the endpoint; the service itself checks tenancy."""
    requires = endpoint.requires
    return requires is None or requires.permission is None or requires.permission.name in ROLES[role][1]


UNIT_ROLES = ("unit-administrator", "credit-clerk", "newcomer", "connected-system")
"""The roles of a using unit, which see that unit alone."""
OWNED_PATH_PARAMETERS = frozenset(
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
"""Path parameters that identify an object of one unit."""


def hides_other_units(endpoint: Endpoint, role: str) -> bool:
    """Whether a role of a using unit may use the endpoint, which must answer 404 for another unit's object."""
    named = any("{" + name + "}" in endpoint.path for name in OWNED_PATH_PARAMETERS)
    return named and endpoint.requires is not None and role in UNIT_ROLES and is_allowed(endpoint, role)


def access_matrix_document(services: Mapping[str, FastAPI]) -> str:
    """Return `docs/access-matrix.md`."""
    rows = [
        "# Access matrix",
        "",
        "`make generate` writes it from the routes; `tests/platform/test_access_matrix.py` tests every cell.",
        "",
        "`yes`: the post's permissions allow it. `403`: refused, and recorded. `public`: needs no credential.",
        "Class A acts read credit data, open it or widen access. They are refused while identity is silent, because then",
        "revocation is impossible. Last column: roles for which another unit's object does not exist (404).",
        "",
        "| endpoint | permission | class A | " + " | ".join(ROLES) + " | another unit's: 404 |",
        "|---|---|---|" + "---|" * (len(ROLES) + 1),
    ]
    for endpoint in sorted(list_endpoints(services), key=lambda endpoint: (endpoint.path, endpoint.method)):
        if endpoint.requires is None:
            cells = ["public"] * len(ROLES)
            permission, class_a = "", ""
        else:
            cells = ["yes" if is_allowed(endpoint, role) else "403" for role in ROLES]
            permission = endpoint.requires.permission.name if endpoint.requires.permission else "(any credential)"
            class_a = "A" if endpoint.requires.class_a else ""
        cells.append(", ".join(role for role in UNIT_ROLES if hides_other_units(endpoint, role)))
        rows.append(f"| `{endpoint.method} {endpoint.path}` | {permission} | {class_a} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"
