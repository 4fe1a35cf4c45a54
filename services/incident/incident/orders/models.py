"""An order's states, its timeline, and every probe of it."""

from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from incident.problems import OrderStepForbidden
from incident.tables import Base

__all__ = ["PROBED_FOR", "TRANSITIONS", "Order", "OrderState", "OrderStep", "Probe"]


class OrderState(StrEnum):
    """Where an order stands. The last three follow a lift that two people wanted."""

    ORDERED = "ordered"
    CONFIRMED = "confirmed"
    """The executor says that the measure is in effect; not yet shown by a probe."""
    PROBED = "probed"
    FAILED = "failed"
    """Not confirmed in time, or no probe was refused for that very reason: somebody must act."""
    LIFTED = "lifted"
    RESTORED = "restored"
    """The executor says that the lift is in effect; not yet shown by a probe."""
    REOPENED = "reopened"
    NOT_REOPENED = "not-reopened"
    """Lifted, and no probe passed in time: something else keeps the door shut."""


S = OrderState
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    S.ORDERED: frozenset({S.CONFIRMED, S.FAILED, S.LIFTED}),
    S.CONFIRMED: frozenset({S.PROBED, S.FAILED, S.LIFTED}),
    S.PROBED: frozenset({S.LIFTED}),
    S.FAILED: frozenset({S.CONFIRMED, S.LIFTED}),  # a late confirmation counts, and is probed
    S.LIFTED: frozenset({S.RESTORED, S.NOT_REOPENED}),
    S.RESTORED: frozenset({S.REOPENED, S.NOT_REOPENED}),
    S.REOPENED: frozenset(),
    S.NOT_REOPENED: frozenset({S.RESTORED}),
}

PROBED_FOR = {S.CONFIRMED: "refused", S.RESTORED: "allowed"}
"""The states in which an order is probed, and what the door must answer."""


class Order(Base):
    """One measure against the harm, for one service.

    `next_at` is when the prober looks at the order next (None: nothing left to do), `give_up_at` when it stops trying;
    `unprobed` says why no probe applies: such an order counts as confirmed and never as probed.
    """

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
        """By what name executors remember why they acted, and refusals say why they refuse."""
        return f"order:{self.id}"

    @property
    def expectation(self) -> str | None:
        """What a probe must meet now; None where none is due."""
        return PROBED_FOR.get(OrderState(self.state))

    @property
    def settled(self) -> bool:
        """Whether nothing is under way: who waits for this order need not wait longer."""
        return self.next_at is None

    def can(self, state: OrderState) -> bool:
        """Whether the table allows the step."""
        return state in TRANSITIONS[OrderState(self.state)]

    def move_to(self, state: OrderState, *, next_at: datetime | None, patience: timedelta = timedelta()) -> None:
        """Take a step; the prober acts on it from `next_at`, for `patience`. Raises `OrderStepForbidden`."""
        if not self.can(state):
            raise OrderStepForbidden(state=self.state, wanted=str(state))
        self.state = state
        self.next_at = next_at
        self.give_up_at = next_at + patience if next_at else None
        self.attempts, self.unprobed = 0, None


class OrderStep(Base):
    """One line of an order's timeline, appended with each step."""

    __tablename__ = "containment_steps"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True, init=False)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("containment_orders.id"), index=True)
    state: Mapped[str]
    at: Mapped[datetime]
    detail: Mapped[str | None] = mapped_column(default=None)
    effective_at: Mapped[datetime | None] = mapped_column(default=None)


class Probe(Base):
    """One attempt, appended: what was asked with whose credential, what came back, and whether that proves anything.

    `status` 0: no answer came; `reason` then says what was missing.
    """

    __tablename__ = "probes"
    __table_args__ = (CheckConstraint("expectation IN ('refused', 'allowed')", name="expectation"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("containment_orders.id"), index=True)
    expectation: Mapped[str]
    subject: Mapped[str | None]
    grant_id: Mapped[UUID | None]
    status: Mapped[int]
    problem: Mapped[str | None]
    reason: Mapped[str | None]
    passed: Mapped[bool]
    milliseconds: Mapped[int]
    at: Mapped[datetime]
