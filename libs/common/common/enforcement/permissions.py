"""Permissions: what a post can hold, and which kinds of unit may give it. The list of permissions is a contract."""

from dataclasses import dataclass
from enum import StrEnum


class UnitKind(StrEnum):
    """The kinds of unit (clause 4.1): authority, center, and three kinds of using unit."""

    AUTHORITY = "authority"
    CENTER = "center"
    AGENCY = "agency"
    PUBLIC_SERVICE = "public-service"
    SOCIAL_INSTITUTION = "social-institution"


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission; `system` says whether a connected system has it too."""

    name: str
    kinds: tuple[UnitKind, ...]
    clause: str
    zh: str
    system: bool = False


MANAGE_OPERATIONS = Permission("operations.manage", (UnitKind.CENTER,), "7.2", "平台运维")
"""The permission of the operator routes that the kernel gives every service."""
