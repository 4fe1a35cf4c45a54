"""Models say what the migrations made; audit's tables are read and written by statements of SQL."""

from importlib import import_module

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

KERNEL_TABLES = {"outbox", "outbox_counter", "inbox", "idempotency", "alembic_version"}
EXCLUSION = "grants_one_at_a_time"
"""A constraint, which the comparison takes for an index."""
DECLARES_INDEXES = {"datashare"}
"""The models of the others leave indexes and unique constraints to the migrations."""


@pytest.mark.parametrize("service", ["identity", "datashare", "incident"])
async def test_models_agree_with_the_migration(fresh_database, service):
    import_module(f"{service}.main")  # with every model
    metadata = import_module(f"{service}.tables").Base.metadata

    def is_compared(_, name, kind, *__) -> bool:
        if kind not in ("table", "column"):
            return service in DECLARES_INDEXES and name != EXCLUSION
        return kind != "table" or name not in KERNEL_TABLES

    options = {"include_object": is_compared, "compare_type": True, "compare_server_default": False}
    engine = create_async_engine((await fresh_database(service)).owner)
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), metadata)
            )
            rows = await connection.scalars(
                text(
                    "SELECT conname FROM pg_constraint c JOIN pg_class t ON t.oid = conrelid"
                    " WHERE contype IN ('c', 'u', 'f') AND relname = ANY (:tables)"
                ),
                {"tables": list(metadata.tables)},
            )
            existing = set(rows)
    finally:
        await engine.dispose()
    assert differences == []
    declared = {
        constraint.name
        for table in metadata.tables.values()
        for constraint in table.constraints
        if constraint.name and not constraint.name.endswith("_pkey")
    }
    assert declared - existing == set()
