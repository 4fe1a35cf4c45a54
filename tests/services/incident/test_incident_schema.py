"""The models agree with the migration, and projections do not depend on the order of events."""

import random

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

import incident.main
from common.contracts.events import datashare, identity
from common.ids import new_id
from incident.projections.models import Account, Grant, System
from incident.tables import Base

OF_COMMON = {"outbox", "outbox_counter", "inbox", "idempotency"}
assert incident.main  # every model is imported with it


async def test_models_agree_with_the_migration(fresh_database):
    database = await fresh_database("incident")
    engine = create_async_engine(database.owner)
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(
                    MigrationContext.configure(
                        sync,
                        opts={
                            "include_object": lambda thing, name, kind, *_: (
                                (kind == "table" and name not in OF_COMMON) or kind == "column"
                            ),
                            "compare_type": True,
                        },
                    ),
                    Base.metadata,
                )
            )
            constraints = await connection.execute(
                text(
                    "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid"
                    " WHERE contype IN ('c', 'u', 'f') AND relname = ANY (:tables)"
                ),
                {"tables": list(Base.metadata.tables)},
            )
            there = {row.conname for row in constraints}
    finally:
        await engine.dispose()
    assert [difference for difference in differences if "alembic_version" not in str(difference)] == []
    wanted = {
        constraint.name
        for table in Base.metadata.tables.values()
        for constraint in table.constraints
        if constraint.name and not constraint.name.endswith("_pkey")
    }
    assert wanted <= there, wanted - there


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
