"""Containment orders: their states and their timelines."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Identity, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.base import BigInt
from common.storage.state_machine import StateMachine
from incident.orders.problems import OrderStepForbidden
from incident.tables import Base


class OrderState(StrEnum):
    """The states of an order. The last four follow a lift that two people decided."""

    ORDERED = "ordered"
    CONFIRMED = "confirmed"
    """The executor says that the measure is in effect; not yet shown by a probe."""
    PROBED = "probed"
    FAILED = "failed"
    """Not confirmed in time, or no probe was refused for that very reason: a person must act."""
    LIFTED = "lifted"
    RESTORED = "restored"
    """The executor says that the lift is in effect; not yet shown by a probe."""
    REOPENED = "reopened"
    NOT_REOPENED = "not-reopened"
    """Lifted, and no probe passed in time: another cause still refuses access."""


S = OrderState
PROBED_FOR = {S.CONFIRMED: "refused", S.RESTORED: "allowed"}
"""The states in which an order is probed, and what the gateway must answer."""


class Order(StateMachine, Base):
    """One measure against the harm, for one service.

    The probe worker takes the order at `next_at` (None: nothing left to do) and stops trying at `give_up_at`. `unprobed`
    says why no probe applies: such an order counts as confirmed and never as probed.
    """

    TRANSITIONS: ClassVar = {
        S.ORDERED: frozenset({S.CONFIRMED, S.FAILED, S.LIFTED}),
        S.CONFIRMED: frozenset({S.PROBED, S.FAILED, S.LIFTED}),
        S.PROBED: frozenset({S.LIFTED}),
        S.FAILED: frozenset({S.CONFIRMED, S.LIFTED}),  # a late confirmation counts, and is probed
        S.LIFTED: frozenset({S.RESTORED, S.NOT_REOPENED}),
        S.RESTORED: frozenset({S.REOPENED, S.NOT_REOPENED}),
        S.REOPENED: frozenset(),
        S.NOT_REOPENED: frozenset({S.RESTORED}),
    }
    STEP_PROBLEM = OrderStepForbidden

    __tablename__ = "containment_orders"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(str(state)) for state in OrderState)})", name="state"),
        CheckConstraint("executor IN ('identity', 'datashare')", name="executor"),
        CheckConstraint(
            "(executor = 'identity' AND measure = 'suspend-system' AND target_kind = 'system')"
            " OR (executor = 'identity' AND measure = 'suspend-account' AND target_kind = 'account')"
            " OR (executor = 'datashare' AND measure = 'suspend-grants' AND target_kind IN ('system', 'grant', 'unit'))",
            name="measure",
        ),
        CheckConstraint("(state = 'probed') <= (confirmed_at IS NOT NULL AND probed_at IS NOT NULL)", name="probed"),
        UniqueConstraint(
            "incident_id", "executor", "measure", "target_kind", "target_id", name="containment_orders_once_key"
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    incident_id: Mapped[UUID] = mapped_column(ForeignKey("incidents.id"))
    executor: Mapped[str]
    measure: Mapped[str]
    target_kind: Mapped[str]
    target_id: Mapped[UUID]
    unit_id: Mapped[UUID]
    ordered_at: Mapped[datetime]
    give_up_at: Mapped[datetime | None]
    next_at: Mapped[datetime | None] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(default=S.ORDERED)
    attempts: Mapped[int] = mapped_column(default=0)
    grants: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default_factory=list)
    confirmed_at: Mapped[datetime | None] = mapped_column(default=None)
    probed_at: Mapped[datetime | None] = mapped_column(default=None)
    lifted_at: Mapped[datetime | None] = mapped_column(default=None)
    restored_at: Mapped[datetime | None] = mapped_column(default=None)
    reopened_at: Mapped[datetime | None] = mapped_column(default=None)
    unprobed: Mapped[str | None] = mapped_column(default=None)

    @property
    def cause(self) -> str:
        """The cause that executors record and that refusals name."""
        return f"order:{self.id}"

    @property
    def expectation(self) -> str | None:
        """The answer that a probe must get now; None where no probe is due."""
        return PROBED_FOR.get(OrderState(self.state))

    @property
    def settled(self) -> bool:
        """Whether no step is under way: a request that waits for this order can be answered."""
        return self.next_at is None

    def advance(self, state: OrderState, *, next_at: datetime | None, time_limit: timedelta = timedelta()) -> None:
        """Take a step; the probe worker acts on it from `next_at`, for `time_limit`. Raises `OrderStepForbidden`."""
        self.move_to(state)
        self.next_at = next_at
        self.give_up_at = next_at + time_limit if next_at else None
        self.attempts, self.unprobed = 0, None


class OrderStep(Base):
    """One line of an order's timeline, appended with each step."""

    __tablename__ = "containment_steps"

    id: Mapped[BigInt] = mapped_column(Identity(always=True), primary_key=True, init=False)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("containment_orders.id"), index=True)
    state: Mapped[str]
    at: Mapped[datetime]
    detail: Mapped[str | None] = mapped_column(default=None)
    effective_at: Mapped[datetime | None] = mapped_column(default=None)
