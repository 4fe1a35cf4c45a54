"""One unit."""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from common.enforcement.permissions import UnitKind
from identity.suspensions.models import Suspendable
from identity.tables import Base
from identity.units.problems import UnitStep


class Level(StrEnum):
    """The level of government that the unit belongs to or serves (clause 4.1)."""

    NATIONAL = "national"
    PROVINCIAL = "provincial"
    MUNICIPAL = "municipal"
    DISTRICT = "district"
    TOWNSHIP = "township"


class Duty(StrEnum):
    """A unit's duties on the platform (clause 4.1)."""

    BUILDS = "builds"
    RUNS = "runs"
    MAINTAINS = "maintains"
    USES = "uses"


class UnitState(StrEnum):
    """`registered`: in good standing. `decommissioned`: for good."""

    REGISTERED = "registered"
    SUSPENDED = "suspended"
    DECOMMISSIONED = "decommissioned"


class Unit(Suspendable, Base):
    """A unit with its unified social credit code (GB 32100-2015)."""

    TRANSITIONS: ClassVar = {
        UnitState.REGISTERED: frozenset({UnitState.SUSPENDED, UnitState.DECOMMISSIONED}),
        UnitState.SUSPENDED: frozenset({UnitState.REGISTERED, UnitState.DECOMMISSIONED}),
        UnitState.DECOMMISSIONED: frozenset(),
    }
    KIND: ClassVar = "unit"
    SUSPENDED: ClassVar = UnitState.SUSPENDED
    STEP_PROBLEM: ClassVar = UnitStep

    __tablename__ = "units"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[UnitKind] = mapped_column(Text)
    level: Mapped[Level] = mapped_column(Text)
    duties: Mapped[list[str]] = mapped_column(ARRAY(Text))
    name: Mapped[str]
    uscc: Mapped[str] = mapped_column(unique=True)
    registered_at: Mapped[datetime]
    state: Mapped[UnitState] = mapped_column(Text, default=UnitState.REGISTERED)
    decommissioned_at: Mapped[datetime | None] = mapped_column(default=None)

    @property
    def reinstated_state(self) -> UnitState:
        """The state to which it returns once the last suspension is lifted."""
        return UnitState.REGISTERED

    @property
    def active(self) -> bool:
        """Whether its people and systems may get credentials."""
        return self.state == UnitState.REGISTERED

    @property
    def uses(self) -> bool:
        """Whether it is neither authority nor center."""
        return self.kind not in (UnitKind.AUTHORITY, UnitKind.CENTER)
