"""The principal: who acts, as a verified token says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from common.enforcement.permissions import UnitKind


@dataclass(frozen=True, slots=True)
class Principal:
    """The acting account, system or service, as its verified token says. `probe`: the order that a probe credential tests."""

    kind: Literal["account", "system", "service"]
    id: str
    unit: UUID | None
    unit_kind: UnitKind | None
    permissions: frozenset[str]
    session: UUID | None
    epochs: dict[str, int]
    expires_at: datetime
    probe: UUID | None = None

    @property
    def subject(self) -> str:
        """The subject of cutoffs and records: `account:<id>`, `system:<id>`, `service:<name>`."""
        return f"{self.kind}:{self.id}"

    @property
    def uuid(self) -> UUID:
        """The account's or system's id."""
        return UUID(self.id)

    def has(self, permission: str) -> bool:
        """Whether the post, or the kind of credential, includes `permission`."""
        return permission in self.permissions
