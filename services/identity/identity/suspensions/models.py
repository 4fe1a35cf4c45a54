"""A suspension, and the rows that can be suspended."""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from identity.tables import Base


class Suspendable(StateMachine):
    """A row that is suspended while any of several causes is open.

    `KIND` names its subject, and its column of `suspensions`; `SUSPENDED` is its suspended state.
    """

    KIND: ClassVar[str]
    SUSPENDED: ClassVar[Any]
    id: Any

    @property
    def subject(self) -> str:
        """The subject of its cutoffs."""
        return f"{self.KIND}:{self.id}"

    @property
    def reinstated_state(self) -> Any:
        """The state to which it returns once the last suspension is lifted."""
        raise NotImplementedError


class Suspension(Base):
    """One suspension of one subject; of each cause, at most one is open."""

    __tablename__ = "suspensions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    cause: Mapped[str]
    reason: Mapped[str]
    begun_at: Mapped[datetime]
    unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("units.id"), default=None)
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id"), default=None)
    system_id: Mapped[UUID | None] = mapped_column(ForeignKey("systems.id"), default=None)
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
