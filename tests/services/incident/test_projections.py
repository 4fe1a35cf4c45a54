"""The models agree with the migration, and projections do not depend on the order of events."""

import random

from sqlalchemy import text

from common.contracts.events import datashare, identity
from common.ids import new_id
from incident.projections.models import Account, Grant, System


async def test_projections_end_the_same_in_whatever_order_events_come(paused):
    unit, account, system, grant, resource = (new_id() for _ in range(5))
    now = paused.clock.now()
    said = [
        identity.AccountInvited(account_id=account, unit_id=unit, invited_by=None),
        identity.AccountActivated(account_id=account, unit_id=unit),
        identity.AccountRevoked(account_id=account, unit_id=unit, reason="departure"),
        identity.SystemApproved(system_id=system, unit_id=unit, name="系统", origins=[]),
        identity.SystemSuspended(system_id=system, unit_id=unit, reason="x"),
        identity.SystemReinstated(system_id=system, unit_id=unit),
        datashare.GrantActivated(
            grant_id=grant,
            unit_id=unit,
            resource_id=resource,
            agreement_id=new_id(),
            systems=[system],
            purposes=["p"],
            fields=[],
            valid_from=now,
            valid_until=now,
            quota={},
        ),
        datashare.GrantSuspended(grant_id=grant, unit_id=unit, reason="x", cause="y"),
    ]
    for seed in range(6):
        shuffled = [paused.message(event, sequence=number) for number, event in enumerate(said, 1)]
        random.Random(seed).shuffle(shuffled)
        async with paused.runtime.database.engine.begin() as connection:
            for table in ("accounts", "systems", "grants"):
                await connection.execute(text(f"UPDATE {table} SET heard = 0, status = 'forgotten'"))
        await paused.inbox.deliver(shuffled)
        async with paused.runtime.database.transaction() as session:
            assert (await session.get_one(Account, account)).status == "revoked"
            assert (await session.get_one(System, system)).status == "active"
            known = await session.get_one(Grant, grant)
            assert (known.status, known.resource, known.systems) == ("suspended", resource, [system])
