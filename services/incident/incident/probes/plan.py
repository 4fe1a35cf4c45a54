"""Chooses with whose credential a probe of an order knocks, and for which grant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.ids import new_id
from incident.orders.models import Order
from incident.projections import queries
from incident.projections.models import GrantView

__all__ = ["GRANTS_PROBED", "Knock", "NotApplicable", "knocks_for"]

GRANTS_PROBED = 20
"""Most grants that one order's probe asks for: one alone would prove nothing of the others, all of them may be many."""


@dataclass(frozen=True, slots=True)
class Knock:
    """One request: `kind` and subject of the credential, and what it asks for."""

    kind: Literal["before", "after"]
    subject_kind: str
    subject_id: UUID
    grant_id: UUID
    purpose: str

    @property
    def subject(self) -> str:
        """As in tokens: `system:<id>`."""
        return f"{self.subject_kind}:{self.subject_id}"


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """No probe can show anything, and why: never counted as passed."""

    reason: str


NOT_HEARD_YET: list[Knock] = []
"""The projection lags behind: try again."""


async def knocks_for(session: AsyncSession, order: Order) -> list[Knock] | NotApplicable:
    """Return the requests of one probe of `order`; empty while a grant's terms have not been heard of yet."""
    if order.executor == "identity":
        return await _for_identity(session, order)
    return await _for_datashare(session, order)


async def _for_identity(session: AsyncSession, order: Order) -> list[Knock] | NotApplicable:
    if order.target_kind == "system":
        grants = await queries.grants_of_system(session, order.target_id)
    else:
        grants = await queries.grants_of_unit(session, order.unit_id)
    grant = grants[0] if grants else None
    if order.expectation == "refused":
        # The credential itself is refused, whatever it asks for.
        return [_knock("before", order.target_kind, order.target_id, grant.id if grant else new_id(), grant)]
    if grant is None:
        return NotApplicable("no-grant-to-ask-for")
    return [_knock("after", order.target_kind, order.target_id, grant.id, grant)]


async def _for_datashare(session: AsyncSession, order: Order) -> list[Knock] | NotApplicable:
    if not order.grants:
        return NotApplicable("no-grant-concerned")
    asked = order.grants[:GRANTS_PROBED]
    known = await queries.grants_by_id(session, asked)
    if any(grant_id not in known or known[grant_id].resource is None for grant_id in asked):
        return NOT_HEARD_YET
    knocks = []
    for grant in known.values():
        subject = await _user_of(session, order, grant)
        if subject is None:
            return NotApplicable("no-subject-to-knock-with")
        knocks.append(_knock("after", *subject, grant.id, grant))
    return knocks


async def _user_of(session: AsyncSession, order: Order, grant: GrantView) -> tuple[str, UUID] | None:
    """Return a system of the grant; for a refusal a person of the unit will do, though no verdict would let it in."""
    if order.target_kind == "system" and order.target_id in grant.systems:
        return "system", order.target_id
    if system := _first(await queries.living_systems(session, grant.systems)):
        return "system", system
    if order.expectation == "refused" and (person := await queries.active_account(session, grant.unit)):
        return "account", person
    return None


def _first(ids: Sequence[UUID]) -> UUID | None:
    return ids[0] if ids else None


def _knock(
    kind: Literal["before", "after"], subject_kind: str, subject_id: UUID, grant_id: UUID, grant: GrantView | None
) -> Knock:
    return Knock(kind, subject_kind, subject_id, grant_id, grant.purposes[0] if grant and grant.purposes else "probe")
