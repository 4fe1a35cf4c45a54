"""Plans the requests of a probe: with which subject's credential, and for which grant."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.ids import new_id
from incident.orders.models import Order
from incident.projections import queries
from incident.projections.models import Grant

MAX_PROBED_GRANTS = 20
"""Grants of one order that a probe asks for: one alone proves nothing about the others, and an order may have many."""


@dataclass(frozen=True, slots=True)
class ProbeTarget:
    """One request: kind and subject of the credential, the grant and the purpose."""

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
    """Why no probe can show anything: never counted as passed."""

    reason: str


PROJECTION_LAGS: list[ProbeTarget] = []
"""The projection lacks a grant of the order so far: try again."""


async def plan_probes(session: AsyncSession, order: Order) -> list[ProbeTarget] | NotApplicable:
    """Return the requests of one probe of `order`; `PROJECTION_LAGS` until the terms of its grants are known."""
    if order.executor == "identity":
        return await _for_identity(session, order)
    return await _for_datashare(session, order)


async def _for_identity(session: AsyncSession, order: Order) -> list[ProbeTarget] | NotApplicable:
    if order.target_kind == "system":
        grants = await queries.list_grants_of_system(session, order.target_id)
    else:
        grants = await queries.list_grants_of_unit(session, order.unit_id)
    grant = grants[0] if grants else None
    if order.expectation == "refused":
        # The credential itself is refused, whatever it asks for.
        return [_target("before", order.target_kind, order.target_id, grant.id if grant else new_id(), grant)]
    if grant is None:
        return NotApplicable("no-grant-to-ask-for")
    return [_target("after", order.target_kind, order.target_id, grant.id, grant)]


async def _for_datashare(session: AsyncSession, order: Order) -> list[ProbeTarget] | NotApplicable:
    if not order.grants:
        return NotApplicable("no-grant-concerned")
    asked = order.grants[:MAX_PROBED_GRANTS]
    known = await queries.get_grants(session, asked)
    if any(grant_id not in known or known[grant_id].resource is None for grant_id in asked):
        return PROJECTION_LAGS
    targets = []
    for grant in known.values():
        subject = await _subject_for(session, order, grant)
        if subject is None:
            return NotApplicable("no-subject-to-knock-with")
        targets.append(_target("after", *subject, grant.id, grant))
    return targets


async def _subject_for(session: AsyncSession, order: Order, grant: Grant) -> tuple[str, UUID] | None:
    """Return a system of the grant; a refusal can also be shown to an account of the unit, though it holds no grant."""
    if order.target_kind == "system" and order.target_id in grant.systems:
        return "system", order.target_id
    if system := _first(await queries.list_current_systems(session, grant.systems)):
        return "system", system
    if order.expectation == "refused" and (person := await queries.get_active_account(session, grant.unit)):
        return "account", person
    return None


def _first(ids: Sequence[UUID]) -> UUID | None:
    return ids[0] if ids else None


def _target(
    kind: Literal["before", "after"], subject_kind: str, subject_id: UUID, grant_id: UUID, grant: Grant | None
) -> ProbeTarget:
    return ProbeTarget(
        kind, subject_kind, subject_id, grant_id, grant.purposes[0] if grant and grant.purposes else "probe"
    )
