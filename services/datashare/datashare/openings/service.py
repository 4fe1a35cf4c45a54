"""Sets and withdraws openings, which only the authority does (10.2)."""

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
from datashare.openings.queries import get_current_opening
from datashare.openings.schemas import OpeningRequest
from datashare.resources.models import Resource
from datashare.resources.queries import lock_resource
from datashare.runtime import Runtime


async def set_opening(
    session: AsyncSession,
    runtime: Runtime,
    principal: Principal,
    code: str,
    request: OpeningRequest,
    *,
    if_match: IfMatch,
) -> tuple[Resource, Opening]:
    """Add a version: once this returns, no grant gives more than it opens. Clause 10.2.

    Raises `NotFound`, `OpeningFieldUnknown`, `OpeningBeyondPolicy`, and for a later version those of `IfMatch`.
    """
    resource, current = await _locked(session, code)
    if current:
        if_match.check(current.version)
    if unknown := sorted(set(request.fields) - {spec.name for spec in resource.specs()}):
        raise OpeningFieldUnknown(fields=unknown)
    now = runtime.clock.now()
    max_term = runtime.policies.at("opening-longest-term", now).value
    if request.longest_term_days > max_term:
        raise OpeningBeyondPolicy(most=max_term)
    opening = Opening(
        id=new_id(),
        resource_id=resource.id,
        version=current.version + 1 if current else 1,
        fields=resource.ordered(set(request.fields)),
        purposes=sorted(set(request.purposes)),
        unit_kinds=sorted(set(request.unit_kinds)),
        longest_term_days=request.longest_term_days,
        quota_calls=request.quota.calls,
        quota_rows=request.quota.rows,
        quota_subjects=request.quota.subjects,
        withdrawn=False,
        reason=request.reason,
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
        quota=request.quota.model_dump(),
    )
    await _add_version(session, resource, opening, now)
    outbox.add(session, event, at=now)
    return resource, opening


async def withdraw_opening(
    session: AsyncSession, runtime: Runtime, principal: Principal, code: str, reason: str, *, if_match: IfMatch
) -> tuple[Resource, Opening]:
    """Close the resource: once this returns, no grant on it gives anything. Raises `NotFound`, those of `IfMatch`."""
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
    await _add_version(session, resource, opening, now)
    outbox.add(session, OpeningWithdrawn(opening_id=opening.id, resource_id=resource.id, reason=reason), at=now)
    return resource, opening


async def _locked(session: AsyncSession, code: str) -> tuple[Resource, Opening | None]:
    resource = await lock_resource(session, code)
    if resource is None:
        raise NotFound
    return resource, await get_current_opening(session, resource.id)


async def _add_version(session: AsyncSession, resource: Resource, opening: Opening, now: datetime) -> None:
    """Add the version, and wait for queries under way: no query that read the earlier version answers after this."""
    session.add(opening)
    await session.flush()
    await grants.lock_live_grants_of_resource(session, resource.id, now)
