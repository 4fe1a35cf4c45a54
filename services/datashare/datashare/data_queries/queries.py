"""Reads records, counts usage and stores the fact of the query, all in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal
from uuid import UUID

import asyncpg
import orjson

from common.storage.database import Statement

_READ_RECORDS = """
WITH found AS MATERIALIZED (
    SELECT rec.id, sha256(convert_to(rec.subject, 'UTF8')) AS mark, rec.data,
        row_number() OVER (ORDER BY rec.id) AS nth
    FROM records rec
    WHERE rec.resource_id = CAST(:resource AS uuid) AND rec.id > CAST(:after AS bigint){conditions}
    ORDER BY rec.id LIMIT CAST(:limit AS integer) + 1
), fresh AS (
    SELECT f.mark, min(f.id) AS first, row_number() OVER (ORDER BY min(f.id)) AS nth
    FROM found f
    WHERE NOT EXISTS (SELECT FROM usage_subjects us
        WHERE us.grant_id = CAST(:grant AS uuid) AND us.day = CAST(:day AS date) AND us.mark = f.mark)
    GROUP BY f.mark
), cut AS (
    SELECT min(first) AS at FROM fresh WHERE nth > CAST(:subjects_left AS integer)
), answer AS (
    SELECT f.id, f.mark, f.data FROM found f, cut
    WHERE f.nth <= CAST(:limit AS integer) AND (cut.at IS NULL OR f.id < cut.at)
), marks AS (
    SELECT mark FROM answer
    UNION
    SELECT CAST(:mark AS bytea) WHERE CAST(:mark AS bytea) IS NOT NULL
        AND (CAST(:by_code AS boolean) OR NOT EXISTS (SELECT FROM answer))
), seen AS (
    INSERT INTO usage_subjects (grant_id, day, mark)
    SELECT CAST(:grant AS uuid), CAST(:day AS date), mark FROM marks
    ON CONFLICT DO NOTHING RETURNING 1
), used AS (
    INSERT INTO usage (grant_id, day, calls, rows, subjects)
    SELECT CAST(:grant AS uuid), CAST(:day AS date), 1, (SELECT count(*) FROM answer), (SELECT count(*) FROM seen)
    ON CONFLICT (grant_id, day) DO UPDATE SET calls = usage.calls + excluded.calls,
        rows = usage.rows + excluded.rows, subjects = usage.subjects + excluded.subjects
    RETURNING 1
), fact AS (
    INSERT INTO queries (id, grant_id, principal, purpose, case_number, fields, mark, rows, origin, day, at)
    SELECT CAST(:id AS uuid), CAST(:grant AS uuid), CAST(:principal AS text), CAST(:purpose AS text),
        CAST(:case_number AS text), CAST(:fields AS text[]), CAST(:mark AS bytea), (SELECT count(*) FROM answer),
        CAST(:origin AS text), CAST(:day AS date), CAST(:at AS timestamptz)
    RETURNING 1
)
SELECT answer.id, CAST(answer.data AS text) AS data, (SELECT count(*) FROM seen) AS new_subjects,
    (SELECT count(*) FROM found) > (SELECT count(*) FROM answer) AS more
FROM used CROSS JOIN fact LEFT JOIN answer ON true ORDER BY answer.id
"""

_CONDITIONS = {
    "uscc": "rec.subject = CAST(:value_{n} AS text)",
    "name": "rec.subject_name = CAST(:value_{n} AS text)",
    "equals": "rec.data ->> CAST(:field_{n} AS text) = CAST(:value_{n} AS text)",
    # For dates only: their ISO form sorts by time.
    "from": "rec.data ->> CAST(:field_{n} AS text) >= CAST(:value_{n} AS text)",
    "to": "rec.data ->> CAST(:field_{n} AS text) <= CAST(:value_{n} AS text)",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on a record; `field` only for the last three kinds."""

    kind: Literal["uscc", "name", "equals", "from", "to"]
    value: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPlan:
    """One query under an allowed verdict: up to `limit` records, up to `subjects_left` subjects not counted today."""

    id: UUID
    resource_id: UUID
    grant_id: UUID
    principal: str
    purpose: str
    case_number: str
    fields: Sequence[str]
    conditions: Sequence[Condition]
    mark: bytes | None
    by_code: bool
    after: int
    limit: int
    subjects_left: int
    origin: str
    day: date
    at: datetime


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The records of a query. `last`: id of the last record; `more`: whether others follow."""

    records: list[dict[str, Any]]
    last: int | None
    more: bool
    new_subjects: int


async def read_records(connection: asyncpg.Connection, plan: QueryPlan) -> QueryResult:
    """Read the records, count them and store the query. The caller has locked the grant, so that counters are exact."""
    parameters: dict[str, Any] = {
        "id": plan.id,
        "resource": plan.resource_id,
        "grant": plan.grant_id,
        "principal": plan.principal,
        "purpose": plan.purpose,
        "case_number": plan.case_number,
        "fields": list(plan.fields),
        "mark": plan.mark,
        "by_code": plan.by_code,
        "after": plan.after,
        "limit": plan.limit,
        "subjects_left": plan.subjects_left,
        "origin": plan.origin,
        "day": plan.day,
        "at": plan.at,
    }
    for n, condition in enumerate(plan.conditions):
        parameters[f"value_{n}"] = condition.value
        if condition.field is not None:
            parameters[f"field_{n}"] = condition.field
    rows = await _statement(tuple(condition.kind for condition in plan.conditions)).rows(connection, parameters)
    records = [row for row in rows if row["id"] is not None]
    return QueryResult(
        records=[orjson.loads(row["data"]) for row in records],
        last=records[-1]["id"] if records else None,
        more=rows[0]["more"],
        new_subjects=rows[0]["new_subjects"],
    )


@lru_cache(maxsize=256)
def _statement(kinds: tuple[str, ...]) -> Statement:
    conditions = "".join("\n        AND " + _CONDITIONS[kind].format(n=n) for n, kind in enumerate(kinds))
    return Statement(_READ_RECORDS.format(conditions=conditions))
