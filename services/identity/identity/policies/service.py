"""Sets policies, and publishes their first versions."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import PolicySet
from common.contracts.policies import FIRST_VERSIONS_IN_FORCE_FROM, POLICIES
from common.enforcement.revocation_feed import PolicyVersion
from common.messaging import outbox
from common.problems import NotFound
from common.web.dependencies import IfMatch
from identity.policies.models import PolicyRow
from identity.policies.problems import PolicyOutOfBounds, PolicyRetroactive
from identity.policies.queries import insert_first_version, list_versions, lock_policy
from identity.runtime import Runtime


async def publish_first_versions(runtime: Runtime) -> None:
    """Insert version 1 of every policy of the catalogue once, and publish it on the feed."""
    now = runtime.clock.now()
    async with runtime.database.transaction() as session:
        for policy in POLICIES.values():
            first = PolicyVersion(
                name=policy.name,
                version=1,
                value=policy.first,
                effective_from=FIRST_VERSIONS_IN_FORCE_FROM,
                basis=policy.basis,
            )
            if await insert_first_version(session, first, set_by="service:identity", at=now):
                _publish(session, first, now)


async def set_policy(
    session: AsyncSession,
    runtime: Runtime,
    *,
    name: str,
    value: int,
    effective_from: datetime | None,
    basis: str,
    by: str,
    if_match: IfMatch,
) -> PolicyRow:
    """Append a version. Clause 15.1.

    Raises `NotFound` for a name outside the catalogue, `PolicyOutOfBounds`, `PolicyRetroactive` for a start in the past or
    before the newest version's, `PreconditionFailed`.
    """
    policy = POLICIES.get(name)
    if policy is None:
        raise NotFound
    await lock_policy(session, name)
    versions = await list_versions(session, name)
    newest = versions[-1]
    if_match.check(newest.version)
    if not policy.least <= value <= policy.most:
        raise PolicyOutOfBounds(least=policy.least, most=policy.most, unit=policy.unit)
    now = runtime.clock.now()
    begin = effective_from or now
    if begin < now or begin < newest.effective_from:
        raise PolicyRetroactive(earliest=max(now, newest.effective_from).isoformat())
    row = PolicyRow(
        name=name, version=newest.version + 1, value=value, effective_from=begin, basis=basis, set_by=by, set_at=now
    )
    session.add(row)
    _publish(
        session, PolicyVersion(name=name, version=row.version, value=value, effective_from=begin, basis=basis), now
    )
    return row


def _publish(session: AsyncSession, version: PolicyVersion, now: datetime) -> None:
    """Publish a version on the feed, and record it."""
    outbox.add_entry(session, version, at=now)
    event = PolicySet(
        policy=version.name,
        version=version.version,
        value=version.value,
        effective_from=version.effective_from,
        basis=version.basis,
    )
    outbox.add(session, event, at=now)
