"""Use agreements and their signatures."""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.storage.state_machine import StateMachine
from datashare.agreements.problems import AgreementStep
from datashare.tables import Base


class AgreementState(StrEnum):
    """Progress of the signatures."""

    DRAWN_UP = "drawn-up"
    HALF_SIGNED = "half-signed"
    IN_FORCE = "in-force"


class Agreement(StateMachine, Base):
    """One agreement; its text, terms and digest never change (10.3)."""

    TRANSITIONS: ClassVar = {
        AgreementState.DRAWN_UP: frozenset({AgreementState.HALF_SIGNED}),
        AgreementState.HALF_SIGNED: frozenset({AgreementState.IN_FORCE}),
        AgreementState.IN_FORCE: frozenset(),
    }
    STEP_PROBLEM: ClassVar = AgreementStep

    __tablename__ = "agreements"
    __table_args__ = (UniqueConstraint("id", "digest"), Index(None, "unit_id", "resource_id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    application_id: Mapped[UUID] = mapped_column(ForeignKey("applications.id"), unique=True)
    unit_id: Mapped[UUID]
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    text: Mapped[str]
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[str]
    drawn_up_at: Mapped[datetime]
    state: Mapped[AgreementState] = mapped_column(Text, default=AgreementState.DRAWN_UP)
    in_force_at: Mapped[datetime | None] = mapped_column(default=None)

    def sign(self, now: datetime) -> bool:
        """Count one signature; True when it was the second. Raises `AgreementStep`."""
        if self.state == AgreementState.DRAWN_UP:
            self.move_to(AgreementState.HALF_SIGNED)
            return False
        self.move_to(AgreementState.IN_FORCE)
        self.in_force_at = now
        return True


class Signature(Base):
    """One side's signature; it quotes the digest, and the database compares it."""

    __tablename__ = "signatures"
    __table_args__ = (
        UniqueConstraint("agreement_id", "signed_by"),
        ForeignKeyConstraint(["agreement_id", "digest"], ["agreements.id", "agreements.digest"]),
    )

    agreement_id: Mapped[UUID] = mapped_column(primary_key=True)
    side: Mapped[str] = mapped_column(primary_key=True)
    signed_by: Mapped[UUID] = mapped_column(index=True)
    digest: Mapped[str]
    signed_at: Mapped[datetime]
