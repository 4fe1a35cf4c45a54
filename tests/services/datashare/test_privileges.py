"""The serving role can do no more than it must: facts can only be appended, terms cannot be rewritten."""

import asyncpg
import pytest

FACTS = {
    "openings": "id",
    "data_rules": "id",
    "advices": "advice",
    "decisions": "decision",
    "signatures": "side",
    "queries": "id",
    "usage_subjects": "day",
    "records": "subject",
}
TERMS = ("grants.valid_until", "grants.fields", "agreements.digest", "agreements.text", "applications.applicant")
UPDATES = [tuple(term.split(".")) for term in TERMS]


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DELETE FROM {table}" for table in FACTS),
        *(f"UPDATE {table} SET {column} = {column}" for table, column in (*FACTS.items(), *UPDATES)),
    ],
)
async def test_facts_can_only_be_appended_and_terms_never_rewritten(fresh_database, statement):
    database = await fresh_database("datashare")
    connection = await asyncpg.connect(database.app.replace("postgresql+asyncpg", "postgresql"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
