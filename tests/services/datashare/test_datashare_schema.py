"""The models say what the migration made, and the serving role can do no more than it must."""

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

import datashare.main
from datashare.tables import Base

OF_COMMON = {"outbox", "outbox_counter", "inbox", "idempotency", "alembic_version"}
EXCLUSION = "grants_one_at_a_time"
assert datashare.main  # every model is imported with it


def ours(_, name, kind, *__) -> bool:
    return not (kind == "table" and name in OF_COMMON) and not (kind == "index" and name == EXCLUSION)


async def test_models_agree_with_the_migration(fresh_database):
    database = await fresh_database("datashare")
    engine = create_async_engine(database.owner)
    options = {"include_object": ours, "compare_type": True, "compare_server_default": False}
    try:
        async with engine.connect() as connection:
            differences = await connection.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync, opts=options), Base.metadata)
            )
    finally:
        await engine.dispose()
    assert differences == []


@pytest.mark.parametrize(
    "table", ["openings", "data_rules", "advices", "decisions", "signatures", "queries", "usage_subjects", "records"]
)
@pytest.mark.parametrize("act", ["DELETE FROM {}", "UPDATE {} SET {} = {}"])
async def test_facts_can_only_be_appended(fresh_database, table, act):
    database = await fresh_database("datashare")
    engine = create_async_engine(database.app)
    column = {
        "usage_subjects": "day",
        "records": "subject",
        "signatures": "side",
        "advices": "advice",
        "decisions": "decision",
    }.get(table, "id")
    try:
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(act.format(table, column, column)))
    finally:
        await engine.dispose()


@pytest.mark.parametrize(
    "column", ["grants.valid_until", "grants.fields", "agreements.digest", "agreements.text", "applications.applicant"]
)
async def test_terms_cannot_be_rewritten(fresh_database, column):
    database = await fresh_database("datashare")
    table, name = column.split(".")
    engine = create_async_engine(database.app)
    try:
        async with engine.connect() as connection:
            with pytest.raises(DBAPIError, match="permission denied"):
                await connection.execute(text(f"UPDATE {table} SET {name} = {name}"))
    finally:
        await engine.dispose()
