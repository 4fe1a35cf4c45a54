"""Sets and withdraws openings: the authority alone (10.2)."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.datashare import OpeningSet, OpeningWithdrawn
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.problems import NotFound
from common.web.dependencies import IfMatch
from datashare.grants import queries as grants
from datashare.openings.models import Opening
from datashare.openings.problems import OpeningBeyondPolicy, OpeningFieldUnknown
from datashare.openings.queries import current_opening
from datashare.openings.schemas import OpeningWanted
from datashare.resources.models import Resource
from datashare.resources.queries import resource_by_code
from datashare.runtime import Runtime

__all__ = ["set_opening", "withdraw"]


async def set_opening(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    code: str,
    wanted: OpeningWanted,
    *,
    if_match: IfMatch,
) -> tuple[Resource, Opening]:
    """Append a version; what it takes away, no grant gives any more once this returns. Clause 10.2.

    Raises `NotFound`, `OpeningFieldUnknown`, `OpeningBeyondPolicy`, and for a later version those of `IfMatch`.
    """
    resource, current = await _locked(session, code)
    if current:
        if_match.check(current.version)
    if unknown := sorted(set(wanted.fields) - {spec.name for spec in resource.specs()}):
        raise OpeningFieldUnknown(fields=unknown)
    now = runtime.clock.now()
    longest = runtime.policies.at("opening-longest-term", now).value
    if wanted.longest_term_days > longest:
        raise OpeningBeyondPolicy(most=longest)
    opening = Opening(
        id=new_id(),
        resource_id=resource.id,
        version=current.version + 1 if current else 1,
        fields=resource.ordered(set(wanted.fields)),
        purposes=sorted(set(wanted.purposes)),
        unit_kinds=sorted(set(wanted.unit_kinds)),
        longest_term_days=wanted.longest_term_days,
        quota_calls=wanted.quota.calls,
        quota_rows=wanted.quota.rows,
        quota_subjects=wanted.quota.subjects,
        withdrawn=False,
        reason=wanted.reason,
        set_by=principal.uuid,
        set_at=now,
    )
    event = OpeningSet(
        opening_id=opening.id,
        resource_id=resource.id,
        version=opening.version,
        fields=opening.fields,
        purposes=opening.purposes,
        unit_kinds=opening.unit_kinds,
        longest_term_days=opening.longest_term_days,
        quota=wanted.quota.model_dump(),
    )
    await _append(session, resource, opening, now)
    outbox.add(session, event, at=now)
    return resource, opening


async def withdraw(
    session: AsyncSession, runtime: Runtime, principal: Principal, code: str, reason: str, *, if_match: IfMatch
) -> tuple[Resource, Opening]:
    """Close the resource: every grant on it gives nothing once this returns. Raises `NotFound`, those of `IfMatch`."""
    resource, current = await _locked(session, code)
    if current is None or current.withdrawn:
        raise NotFound
    if_match.check(current.version)
    now = runtime.clock.now()
    opening = Opening(
        id=new_id(),
        resource_id=resource.id,
        version=current.version + 1,
        fields=current.fields,
        purposes=current.purposes,
        unit_kinds=current.unit_kinds,
        longest_term_days=current.longest_term_days,
        quota_calls=current.quota_calls,
        quota_rows=current.quota_rows,
        quota_subjects=current.quota_subjects,
        withdrawn=True,
        reason=reason,
        set_by=principal.uuid,
        set_at=now,
    )
    await _append(session, resource, opening, now)
    outbox.add(session, OpeningWithdrawn(opening_id=opening.id, resource_id=resource.id, reason=reason), at=now)
    return resource, opening


async def _locked(session: AsyncSession, code: str) -> tuple[Resource, Opening | None]:
    resource = await resource_by_code(session, code, lock=True)
    if resource is None:
        raise NotFound
    return resource, await current_opening(session, resource.id)


async def _append(session: AsyncSession, resource: Resource, opening: Opening, now: datetime) -> None:
    """Add the version, and wait for queries under way: none that saw the version before answers after this one stands."""
    session.add(opening)
    await session.flush()
    await grants.lock_live_of_resource(session, resource.id, now)
