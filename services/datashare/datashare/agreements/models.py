"""Use agreements and their signatures."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, ForeignKey, ForeignKeyConstraint, Index, Text, UniqueConstraint, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from datashare.agreements.problems import AgreementStep
from datashare.tables import Base

__all__ = ["TRANSITIONS", "Agreement", "AgreementState", "Signature"]


class AgreementState(StrEnum):
    """How far the signing is."""

    DRAWN_UP = "drawn-up"
    HALF_SIGNED = "half-signed"
    IN_FORCE = "in-force"


TRANSITIONS: dict[AgreementState, frozenset[AgreementState]] = {
    AgreementState.DRAWN_UP: frozenset({AgreementState.HALF_SIGNED}),
    AgreementState.HALF_SIGNED: frozenset({AgreementState.IN_FORCE}),
    AgreementState.IN_FORCE: frozenset(),
}


class Agreement(Base):
    """One agreement; nothing of text, terms and digest ever changes (10.3)."""

    __tablename__ = "agreements"
    __table_args__ = (UniqueConstraint("id", "digest"), Index(None, "unit_id", "resource_id"))

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    application_id: Mapped[UUID] = mapped_column(ForeignKey("applications.id"), unique=True)
    unit_id: Mapped[UUID] = mapped_column(Uuid)
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("resources.id"))
    text: Mapped[str] = mapped_column(Text)
    terms: Mapped[dict[str, Any]] = mapped_column(JSONB)
    digest: Mapped[str] = mapped_column(Text)
    drawn_up_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    state: Mapped[AgreementState] = mapped_column(Text, default=AgreementState.DRAWN_UP)
    in_force_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True), default=None)

    def move_to(self, state: AgreementState) -> None:
        """Take a step. Raises `AgreementStep` for one that the table does not have."""
        if state not in TRANSITIONS[AgreementState(self.state)]:
            raise AgreementStep(state=self.state)
        self.state = state

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

    agreement_id: Mapped[UUID] = mapped_column(Uuid, primary_key=True)
    side: Mapped[str] = mapped_column(Text, primary_key=True)
    signed_by: Mapped[UUID] = mapped_column(Uuid, index=True)
    digest: Mapped[str] = mapped_column(Text)
    signed_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
