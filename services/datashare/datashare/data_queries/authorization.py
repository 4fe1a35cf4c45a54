"""The verdict: one statement over the whole legal chain, for list, check and query alike (clauses 7.4, 10.4).

The statement evaluates every link; the first false one names the refusal. It only reads. A query locks the grant first
(`lock_grants`): the statement then sees every committed change, and none follows before the query is recorded.
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
from datashare.data_queries.schemas import QuotaLeft
from datashare.data_rules.problems import DataRulesMissing
from datashare.openings.problems import ResourceNotOpen

LINK_PROBLEMS: dict[str, type[Problem]] = {
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
"""The links of the chain in order, each with the problem that a false one raises.

Links of the caller precede those of the resource: callers who may not query learn nothing of resources (6.1, 10.2).
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
LIMIT CAST(:limit AS integer)
""")

_LOCK = Statement("""
SELECT g.id FROM grants g JOIN resources r ON r.id = g.resource_id
WHERE g.unit_id = CAST(:unit AS uuid) AND (CAST(:grant AS uuid) IS NULL OR g.id = CAST(:grant AS uuid))
    AND (CAST(:resource AS text) IS NULL OR r.code = CAST(:resource AS text))
    AND g.revoked_at IS NULL AND g.valid_until > CAST(:now AS timestamptz)
ORDER BY g.id FOR NO KEY UPDATE OF g
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRequest:
    """The input of the verdict. Without `purpose` and `fields`, the links on purpose and fields hold for any grant.

    `mark` is the SHA-256 of the subject's code; None for a query without a code. `day` is the city's day of `now`.
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
class DenialReason:
    """A false link of the chain; `cause` names the suspension that made it false, if one did."""

    link: str
    cause: str | None

    @property
    def problem(self) -> type[Problem]:
        """The problem that this reason raises."""
        return LINK_PROBLEMS[self.link]

    @property
    def clause(self) -> str | None:
        """The clause that the refusal rests on."""
        by_order = self.cause is not None and self.cause.startswith("order:")
        return "10.2" if self.link == "grant_not_suspended" and not by_order else self.problem.clause

    def members(self) -> dict[str, Any]:
        """Return the entry for the member `links` of a problem."""
        return {"link": self.link, "reason": self.problem.slug, "clause": self.clause, "cause": self.cause}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result over the chain. `fields`: those that the grant gives now; `specs`: all of the resource, in JSON."""

    resource_id: UUID | None
    resource: str | None
    grant_id: UUID | None
    valid_until: datetime | None
    fields: tuple[str, ...]
    specs: str
    quota_left: QuotaLeft
    denials: tuple[DenialReason, ...]
    allowed: bool


async def lock_grants(connection: asyncpg.Connection, request: AuthorizationRequest) -> list[UUID]:
    """Lock the live grants that the request is about, and return their ids. Every change of a grant takes this lock."""
    parameters = {
        "unit": request.unit,
        "grant": request.grant_id,
        "resource": request.resource,
        "now": request.now,
    }
    return [row["id"] for row in await _LOCK.rows(connection, parameters)]


async def get_verdict(connection: asyncpg.Connection, request: AuthorizationRequest) -> Verdict:
    """Return the verdict over the grant that the request names, or else the live one, or else the latest."""
    return (await _verdicts(connection, request, 1))[0]


async def list_verdicts(connection: asyncpg.Connection, request: AuthorizationRequest, limit: int) -> list[Verdict]:
    """Return the verdicts over up to `limit` of the unit's grants that the request is about."""
    return [verdict for verdict in await _verdicts(connection, request, limit) if verdict.grant_id]


async def _verdicts(connection: asyncpg.Connection, request: AuthorizationRequest, limit: int) -> list[Verdict]:
    parameters = {
        "unit": request.unit,
        "unit_kind": request.unit_kind,
        "kind": request.kind,
        "principal": request.principal,
        "probe": request.probe is not None,
        "resource": request.resource,
        "grant": request.grant_id,
        "purpose": request.purpose,
        "fields": list(request.fields),
        "mark": request.mark,
        "origin": request.origin,
        "now": request.now,
        "day": request.day,
        "limit": limit,
    }
    return [_verdict(row) for row in await _VERDICT.rows(connection, parameters)]


def _verdict(row: asyncpg.Record) -> Verdict:
    """Read a row; links of a grant that does not exist are NULL: neither true nor a reason."""
    allowed = all(row[link] is True for link in LINK_PROBLEMS)
    return Verdict(
        resource_id=row["resource_id"],
        resource=row["code"],
        grant_id=row["grant_id"],
        valid_until=row["valid_until"],
        fields=tuple(row["effective"] or ()),
        specs=row["specs"] or "[]",
        quota_left=QuotaLeft(row["calls"] or 0, row["rows"] or 0, row["subjects"] or 0),
        denials=() if allowed else _denials(row),
        allowed=allowed,
    )


def _denials(row: asyncpg.Record) -> tuple[DenialReason, ...]:
    causes: dict[str, Sequence[str]] = {
        "unit_standing": row["unit_causes"] or (),
        "account_active": row["account_causes"] or (),
        "system_active": row["system_causes"] or (),
        "grant_not_suspended": row["causes"] or (),
    }
    return tuple(
        DenialReason(link, cause)
        for link in LINK_PROBLEMS
        if row[link] is False
        for cause in causes.get(link) or (None,)
    )
