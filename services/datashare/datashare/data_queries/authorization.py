"""The verdict: one statement over the whole legal chain, for list, check and query alike (clauses 7.4, 10.4).

The statement says of every link whether it holds; the first that does not names the refusal. It reads and changes
nothing. A query locks the grant before it asks (`lock_grants`), so that the statement sees what the lock waited for and
nothing of it changes before the answer is recorded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from common.problems import Problem
from common.storage.database import Statement
from datashare.data_queries import problems
from datashare.data_rules.problems import DataRulesMissing
from datashare.openings.problems import ResourceNotOpen

__all__ = ["LINKS", "FalseLink", "Left", "Question", "Verdict", "lock_grants", "verdict", "verdicts"]

LINKS: dict[str, type[Problem]] = {
    "unit_standing": problems.UnitSuspended,
    "account_active": problems.AccountSuspended,
    "system_active": problems.SystemSuspended,
    "training_current": problems.TrainingMissing,
    "undertaking_signed": problems.UndertakingMissing,
    "post_held": problems.PostMissing,
    "opening_set": ResourceNotOpen,
    "rules_current": DataRulesMissing,
    "agreement_in_force": problems.AgreementMissing,
    "grant_there": problems.NoGrant,
    "grant_not_revoked": problems.GrantRevoked,
    "system_granted": problems.SystemOutsideGrant,
    "grant_not_suspended": problems.GrantSuspended,
    "within_term": problems.GrantExpired,
    "purpose_granted": problems.PurposeOutsideGrant,
    "fields_granted": problems.FieldOutsideGrant,
    "origin_registered": problems.OriginNotRegistered,
    "calls_left": problems.QuotaExhausted,
    "rows_left": problems.QuotaExhausted,
    "subjects_left": problems.QuotaExhausted,
}
"""The links in their order, each with the refusal that it is when it is false.

Who asks comes before what is asked for: who may not query at all learns why, and nothing of what there is (6.1, 10.2).
"""

_VERDICT = Statement("""
WITH asked AS (
    SELECT CAST(:unit AS uuid) AS unit, CAST(:unit_kind AS text) AS unit_kind, CAST(:kind AS text) AS kind,
        CAST(:principal AS uuid) AS principal, CAST(:probe AS boolean) AS probe, CAST(:resource AS text) AS resource,
        CAST(:grant AS uuid) AS grant_id, CAST(:purpose AS text) AS purpose, CAST(:fields AS text[]) AS fields,
        CAST(:mark AS bytea) AS mark, CAST(CAST(:origin AS text) AS inet) AS origin,
        CAST(:now AS timestamptz) AS moment, CAST(:day AS date) AS day
)
SELECT r.id AS resource_id, r.code, CAST(r.fields AS text) AS specs, g.id AS grant_id, g.valid_until,
    facts.effective, facts.causes,
    facts.calls_ceiling - coalesce(used.calls, 0) AS calls, facts.rows_ceiling - coalesce(used.rows, 0) AS rows,
    facts.subjects_ceiling - coalesce(used.subjects, 0) AS subjects,
    u.suspended_for AS unit_causes, a.suspended_for AS account_causes, s.suspended_for AS system_causes,
    CASE WHEN r.id IS NOT NULL OR asked.resource IS NOT NULL
        THEN coalesce(NOT o.withdrawn AND asked.unit_kind = ANY (o.unit_kinds), false) END AS opening_set,
    u.id IS NOT NULL AND u.kind IS NOT NULL AND u.suspended_for = '{}' AS unit_standing,
    EXISTS (SELECT FROM data_rules d WHERE d.unit_id = asked.unit
        AND d.filed_at <= asked.moment AND d.valid_until > asked.moment) AS rules_current,
    asked.kind <> 'account' OR coalesce(a.activated AND NOT a.revoked AND a.suspended_for = '{}', false)
        AS account_active,
    asked.kind <> 'system' OR coalesce(s.approved AND NOT s.decommissioned AND s.suspended_for = '{}', false)
        AS system_active,
    asked.kind <> 'account' OR coalesce(a.trained_until > asked.moment, false) AS training_current,
    asked.kind <> 'account' OR coalesce(a.undertaking_signed, false) AS undertaking_signed,
    asked.kind <> 'account' OR EXISTS (SELECT FROM appointments p WHERE p.account_id = asked.principal
        AND p.unit_id = asked.unit AND NOT p.ended AND 'credit-data.query' = ANY (p.permissions)) AS post_held,
    CASE WHEN r.id IS NOT NULL THEN EXISTS (SELECT FROM agreements ag WHERE ag.unit_id = asked.unit
        AND ag.resource_id = r.id AND ag.in_force_at <= asked.moment AND (g.id IS NULL OR ag.id = g.agreement_id)) END
        AS agreement_in_force,
    g.id IS NOT NULL AS grant_there,
    CASE WHEN g.id IS NOT NULL THEN g.revoked_at IS NULL END AS grant_not_revoked,
    CASE WHEN g.id IS NOT NULL THEN asked.kind <> 'system' OR asked.principal = ANY (g.systems) END AS system_granted,
    CASE WHEN g.id IS NOT NULL THEN facts.causes = '{}' END AS grant_not_suspended,
    asked.moment >= g.valid_from AND asked.moment < facts.ends AS within_term,
    CASE WHEN g.id IS NOT NULL THEN asked.purpose IS NULL
        OR (asked.purpose = ANY (g.purposes) AND coalesce(asked.purpose = ANY (o.purposes), false)) END
        AS purpose_granted,
    CASE WHEN g.id IS NOT NULL THEN asked.fields <@ facts.effective AND facts.effective <> '{}' END AS fields_granted,
    CASE WHEN g.id IS NOT NULL THEN asked.kind <> 'system' OR asked.probe OR coalesce(
        asked.origin <<= ANY (g.origins) AND asked.origin <<= ANY (s.origins), false) END AS origin_registered,
    asked.probe OR coalesce(used.calls, 0) < facts.calls_ceiling AS calls_left,
    asked.probe OR coalesce(used.rows, 0) < facts.rows_ceiling AS rows_left,
    asked.probe OR coalesce(used.subjects, 0) < facts.subjects_ceiling OR EXISTS (SELECT FROM usage_subjects us
        WHERE us.grant_id = g.id AND us.day = asked.day AND us.mark = asked.mark) AS subjects_left
FROM asked
LEFT JOIN LATERAL (
    SELECT r.id AS resource_id, g.id AS grant_id
    FROM resources r
    LEFT JOIN grants g ON g.resource_id = r.id AND g.unit_id = asked.unit
        AND (asked.grant_id IS NULL OR g.id = asked.grant_id)
    WHERE (asked.resource IS NULL OR r.code = asked.resource) AND (asked.resource IS NOT NULL OR g.id IS NOT NULL)
) target ON true
LEFT JOIN resources r ON r.id = target.resource_id
LEFT JOIN grants g ON g.id = target.grant_id
LEFT JOIN LATERAL (
    SELECT * FROM openings o WHERE o.resource_id = r.id ORDER BY o.version DESC LIMIT 1
) o ON true
LEFT JOIN units u ON u.id = asked.unit
LEFT JOIN accounts a ON asked.kind = 'account' AND a.id = asked.principal AND a.unit_id = asked.unit
LEFT JOIN systems s ON asked.kind = 'system' AND s.id = asked.principal AND s.unit_id = asked.unit
LEFT JOIN usage used ON used.grant_id = g.id AND used.day = asked.day
LEFT JOIN LATERAL (
    SELECT ARRAY (SELECT f FROM unnest(g.fields) f WHERE f = ANY (o.fields)) AS effective,
        ARRAY (SELECT x.cause FROM suspensions x WHERE x.grant_id = g.id AND x.lifted_at IS NULL
            ORDER BY x.suspended_at, x.id) AS causes,
        least(g.valid_until, g.valid_from + make_interval(days => o.longest_term_days)) AS ends,
        least(g.quota_calls, o.quota_calls) AS calls_ceiling,
        least(g.quota_rows, o.quota_rows) AS rows_ceiling,
        least(g.quota_subjects, o.quota_subjects) AS subjects_ceiling
) facts ON g.id IS NOT NULL
ORDER BY g.revoked_at IS NULL AND g.valid_until > asked.moment DESC, g.valid_from DESC NULLS LAST, g.id
LIMIT CAST(:most AS integer)
""")

_LOCK = Statement("""
SELECT g.id FROM grants g JOIN resources r ON r.id = g.resource_id
WHERE g.unit_id = CAST(:unit AS uuid) AND (CAST(:grant AS uuid) IS NULL OR g.id = CAST(:grant AS uuid))
    AND (CAST(:resource AS text) IS NULL OR r.code = CAST(:resource AS text))
    AND g.revoked_at IS NULL AND g.valid_until > CAST(:now AS timestamptz)
ORDER BY g.id FOR NO KEY UPDATE OF g
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who asks for what, from where, when. `purpose` None and no `fields`: whatever the grant has.

    `mark` is the SHA-256 of the subject's code, where one is asked for. `day` is the city's day of `now`.
    """

    kind: Literal["account", "system"]
    principal: UUID
    unit: UUID | None
    unit_kind: str | None
    probe: UUID | None = None
    resource: str | None = None
    grant_id: UUID | None = None
    purpose: str | None = None
    fields: tuple[str, ...] = ()
    mark: bytes | None = None
    origin: str | None
    now: datetime
    day: date


@dataclass(frozen=True, slots=True)
class FalseLink:
    """A link that does not hold; `cause` is what made it so, where that is known."""

    link: str
    cause: str | None

    @property
    def problem(self) -> type[Problem]:
        """The refusal that it is."""
        return LINKS[self.link]

    @property
    def clause(self) -> str | None:
        """The clause that it rests on."""
        by_order = self.cause is not None and self.cause.startswith("order:")
        return "10.2" if self.link == "grant_not_suspended" and not by_order else self.problem.clause

    def members(self) -> dict[str, Any]:
        """Return it as it stands in `links` of a problem."""
        return {"link": self.link, "reason": self.problem.slug, "clause": self.clause, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of the day's quota."""

    calls: int
    rows: int
    subjects: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The chain's answer. `fields` are those that the grant gives now, in its order; `specs` all of the resource, in JSON."""

    resource_id: UUID | None
    resource: str | None
    grant_id: UUID | None
    valid_until: datetime | None
    fields: tuple[str, ...]
    specs: str
    left: Left
    false: tuple[FalseLink, ...]
    allowed: bool


async def lock_grants(connection: asyncpg.Connection, question: Question) -> list[UUID]:
    """Lock the live grants that the question is about, and return them; what waits for them in turn is every change."""
    parameters = {
        "unit": question.unit,
        "grant": question.grant_id,
        "resource": question.resource,
        "now": question.now,
    }
    return [row["id"] for row in await _LOCK.rows(connection, parameters)]


async def verdict(connection: asyncpg.Connection, question: Question) -> Verdict:
    """Return the verdict over the grant that is meant, or else the one that is live, or else the latest."""
    return (await _ask(connection, question, 1))[0]


async def verdicts(connection: asyncpg.Connection, question: Question, most: int) -> list[Verdict]:
    """Return the verdict over each of the unit's grants that the question is about."""
    return [found for found in await _ask(connection, question, most) if found.grant_id]


async def _ask(connection: asyncpg.Connection, question: Question, most: int) -> list[Verdict]:
    parameters = {
        "unit": question.unit,
        "unit_kind": question.unit_kind,
        "kind": question.kind,
        "principal": question.principal,
        "probe": question.probe is not None,
        "resource": question.resource,
        "grant": question.grant_id,
        "purpose": question.purpose,
        "fields": list(question.fields),
        "mark": question.mark,
        "origin": question.origin,
        "now": question.now,
        "day": question.day,
        "most": most,
    }
    return [_verdict(row) for row in await _VERDICT.rows(connection, parameters)]


def _verdict(row: asyncpg.Record) -> Verdict:
    """Read a row; what hangs on a grant that is not there is neither true nor named false."""
    allowed = all(row[link] is True for link in LINKS)
    return Verdict(
        resource_id=row["resource_id"],
        resource=row["code"],
        grant_id=row["grant_id"],
        valid_until=row["valid_until"],
        fields=tuple(row["effective"] or ()),
        specs=row["specs"] or "[]",
        left=Left(row["calls"] or 0, row["rows"] or 0, row["subjects"] or 0),
        false=() if allowed else _false(row),
        allowed=allowed,
    )


def _false(row: asyncpg.Record) -> tuple[FalseLink, ...]:
    causes: dict[str, Sequence[str]] = {
        "unit_standing": row["unit_causes"] or (),
        "account_active": row["account_causes"] or (),
        "system_active": row["system_causes"] or (),
        "grant_not_suspended": row["causes"] or (),
    }
    return tuple(
        FalseLink(link, cause) for link in LINKS if row[link] is False for cause in causes.get(link) or (None,)
    )
