"""Answers queries and checks under the verdict; a refusal names the first false link of the chain."""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from common.addresses import normalize_address
from common.clock import CITY
from common.contracts.events.datashare import DataQueried, QuotaReached
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.messaging.events import Event
from common.problems import Forbidden, Invalid, Unavailable
from common.storage.database import driver_connection
from datashare.data_queries.authorization import (
    AuthorizationRequest,
    Verdict,
    get_verdict,
    list_verdicts,
    lock_grants,
)
from datashare.data_queries.denials import require_allowed
from datashare.data_queries.problems import FilterOnMaskedField
from datashare.data_queries.queries import Condition, QueryPlan, QueryResult, read_records
from datashare.data_queries.schemas import (
    CheckResponse,
    QueryRequest,
    QueryResponse,
    QuotaLeft,
    decode_record_cursor,
    encode_record_cursor,
)
from datashare.resources.fields import mask_value
from datashare.resources.schemas import FieldSpec, FieldType
from datashare.runtime import Runtime

NAME_MARK_PREFIX = b"name:"
MAX_GRANTS_OF_UNIT = 1000
"""At most one grant of a unit is live per resource."""


async def query_credit_data(
    connection: asyncpg.Connection, runtime: Runtime, principal: Principal, request: QueryRequest, origin: str
) -> QueryResponse:
    """Answer a query: verdict, quota, usage, fact, event and records in one transaction, in four statements.

    Clauses 7.4, 10.4. A probe gets the verdict alone, without records or usage. Raises the problem of the first false
    link, `FilterOnMaskedField`, `Invalid` for a query that names neither subject nor filters.
    """
    authorization = _authorization_request(runtime, principal, request, origin)
    if principal.probe:
        verdict = await get_verdict(connection, authorization)
        require_allowed(verdict, authorization, principal, request, origin)
        return QueryResponse()
    if request.subject is None and not request.filters:
        raise Invalid("须指明主体或筛选条件", "Name a subject, or filters")
    locked = await lock_grants(connection, authorization)
    verdict = await get_verdict(connection, authorization)
    require_allowed(verdict, authorization, principal, request, origin)
    if verdict.grant_id not in locked:
        raise Unavailable("授权刚刚变更，请重试", "The grant has just changed: try again")
    plan = _plan(runtime, principal, request, verdict, authorization)
    result = await read_records(connection, plan)
    await outbox.add_on_connection(connection, *_events(principal, plan, verdict, result), at=plan.at)
    return _response(request, plan, verdict, result)


async def check_query(
    connection: asyncpg.Connection, runtime: Runtime, principal: Principal, request: QueryRequest, origin: str
) -> CheckResponse:
    """Apply the verdict of a query, by the same statement, without records or usage.

    Raises the problem that the query would raise.
    """
    authorization = _authorization_request(runtime, principal, request, origin)
    verdict = await get_verdict(connection, authorization)
    require_allowed(verdict, authorization, principal, request, origin)
    assert verdict.grant_id  # a link of the chain
    assert verdict.valid_until
    return CheckResponse(
        grant_id=verdict.grant_id,
        fields=list(request.fields or verdict.fields),
        valid_until=verdict.valid_until,
        quota_left=verdict.quota_left,
    )


async def list_usable_grants(session: AsyncSession, runtime: Runtime, principal: Principal, origin: str) -> list[UUID]:
    """Return the grants under which the principal could query now, by the same statement."""
    request = _base_request(runtime, principal, origin)
    return [
        verdict.grant_id
        for verdict in await list_verdicts(await driver_connection(session), request, MAX_GRANTS_OF_UNIT)
        if verdict.allowed and verdict.grant_id
    ]


def normalize_origin(origin: str) -> str | None:
    """Return a network address in its normal form, None for an unreadable one."""
    address = normalize_address(origin)
    return str(address) if address else None


def _base_request(runtime: Runtime, principal: Principal, origin: str, **members: Any) -> AuthorizationRequest:
    if principal.kind == "service":
        raise Forbidden
    now = runtime.clock.now()
    return AuthorizationRequest(
        kind=principal.kind,
        principal=principal.uuid,
        unit=principal.unit,
        unit_kind=principal.unit_kind,
        probe=principal.probe,
        origin=normalize_origin(origin),
        now=now,
        day=now.astimezone(CITY).date(),
        **members,
    )


def _authorization_request(
    runtime: Runtime, principal: Principal, request: QueryRequest, origin: str
) -> AuthorizationRequest:
    code = request.subject.uscc if request.subject else None
    return _base_request(
        runtime,
        principal,
        origin,
        resource=request.resource,
        grant_id=request.grant_id,
        purpose=request.purpose,
        # A filter reveals its field's values, so it needs the grant of the field.
        fields=tuple(dict.fromkeys([*request.fields, *(condition.field for condition in request.filters)])),
        mark=hashlib.sha256(code.encode()).digest() if code else None,
    )


def _plan(
    runtime: Runtime,
    principal: Principal,
    request: QueryRequest,
    verdict: Verdict,
    authorization: AuthorizationRequest,
) -> QueryPlan:
    assert verdict.resource_id  # a link of the chain
    assert verdict.grant_id
    mark = authorization.mark
    if request.subject and request.subject.name:
        mark = hashlib.sha256(NAME_MARK_PREFIX + request.subject.name.encode()).digest()
    max_page = runtime.policies.at("query-page", authorization.now).value
    return QueryPlan(
        id=new_id(),
        resource_id=verdict.resource_id,
        grant_id=verdict.grant_id,
        principal=principal.subject,
        purpose=request.purpose,
        case_number=request.case_number,
        fields=request.fields or verdict.fields,
        conditions=_conditions(request, _parse_specs(verdict.specs)),
        mark=mark,
        by_code=authorization.mark is not None,
        after=decode_record_cursor(request.cursor),
        limit=min(request.limit, max_page, verdict.quota_left.rows),
        subjects_left=max(0, verdict.quota_left.subjects),
        origin=authorization.origin or "",
        day=authorization.day,
        at=authorization.now,
    )


def _conditions(request: QueryRequest, specs: Mapping[str, FieldSpec]) -> list[Condition]:
    conditions = []
    if request.subject and request.subject.uscc:
        conditions.append(Condition("uscc", request.subject.uscc))
    elif request.subject and request.subject.name:
        conditions.append(Condition("name", request.subject.name))
    for each in request.filters:
        spec = specs[each.field]
        if spec.mask != "none":
            raise FilterOnMaskedField(field=spec.name)
        if each.op != "equals" and spec.type != FieldType.DATE:
            raise Invalid("只有日期可按范围筛选", "Only dates can be filtered by a range", field=spec.name)
        conditions.append(Condition(each.op, each.value, spec.name))
    return conditions


@lru_cache(maxsize=512)
def _parse_specs(text: str) -> Mapping[str, FieldSpec]:
    """Return the fields of a resource by name. Cached by the text, because parsing costs more than the rest."""
    return {spec["name"]: FieldSpec.model_validate(spec) for spec in orjson.loads(text)}


def _events(principal: Principal, plan: QueryPlan, verdict: Verdict, result: QueryResult) -> list[Event]:
    assert principal.unit is not None
    queried = DataQueried(
        query_id=plan.id,
        grant_id=plan.grant_id,
        unit_id=principal.unit,
        resource_id=plan.resource_id,
        principal=plan.principal,
        purpose=plan.purpose,
        case_number=plan.case_number,
        fields=list(plan.fields),
        rows=len(result.records),
        origin=plan.origin,
    )
    left = _quota_left(verdict, result)
    used_up = {
        "calls": left.calls == 0,
        "rows": left.rows == 0,
        "subjects": left.subjects == 0 < verdict.quota_left.subjects,
    }
    reached = [
        QuotaReached.model_validate(
            {"grant_id": plan.grant_id, "unit_id": principal.unit, "measure": measure, "day": plan.day}
        )
        for measure, is_used_up in used_up.items()
        if is_used_up
    ]
    return [queried, *reached]


def _quota_left(verdict: Verdict, result: QueryResult) -> QuotaLeft:
    left = verdict.quota_left
    return QuotaLeft(left.calls - 1, left.rows - len(result.records), max(0, left.subjects - result.new_subjects))


def _response(request: QueryRequest, plan: QueryPlan, verdict: Verdict, result: QueryResult) -> QueryResponse:
    specs = _parse_specs(verdict.specs)
    masks = [(name, specs[name].mask) for name in plan.fields]
    next_cursor = None
    if result.more:
        next_cursor = request.cursor if result.last is None else encode_record_cursor(result.last)
    return QueryResponse(
        query_id=plan.id,
        grant_id=plan.grant_id,
        fields=list(plan.fields),
        records=[{name: mask_value(mask, record.get(name)) for name, mask in masks} for record in result.records],
        next=next_cursor,
        quota_left=_quota_left(verdict, result),
    )
