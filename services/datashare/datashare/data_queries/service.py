"""Answers queries and checks under the verdict; what is refused says which link of the chain is false."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import CITY
from common.contracts.events.datashare import DataQueried, QueryRefused, QuotaReached
from common.enforcement.principals import Principal
from common.ids import new_id
from common.messaging import outbox
from common.messaging.events import Event
from common.problems import Forbidden, Invalid, Problem, Unavailable
from common.storage.database import driver_connection
from datashare.data_queries.authorization import FalseLink, Left, Question, Verdict, lock_grants, verdict, verdicts
from datashare.data_queries.problems import FilterOnMaskedField, QuotaExhausted
from datashare.data_queries.queries import Condition, Reading, Taken, take
from datashare.data_queries.schemas import CheckAnswer, QueryAnswer, QueryAsked, QuotaLeft, cursor_of, place_of
from datashare.resources.fields import FieldSpec, FieldType, mask_value
from datashare.runtime import Runtime

__all__ = ["address", "check", "query", "usable_grants"]

NAME_MARK = b"name:"


async def query(
    connection: asyncpg.Connection, runtime: Runtime, principal: Principal, asked: QueryAsked, origin: str
) -> QueryAnswer:
    """Answer a query: verdict, quota, usage, fact, event and records in one transaction, in four statements.

    Clauses 7.4, 10.4. A probe gets the verdict alone: nothing is read or counted for it. Raises the refusal of the
    first false link, `FilterOnMaskedField`, `Invalid` for a query that names neither subject nor filters.
    """
    question = _question(runtime, principal, asked, origin)
    if principal.probe:
        await _require(await verdict(connection, question), question, principal, asked, origin)
        return QueryAnswer()
    if asked.subject is None and not asked.filters:
        raise Invalid("须指明主体或筛选条件", "Name a subject, or filters")
    locked = await lock_grants(connection, question)
    found = await verdict(connection, question)
    await _require(found, question, principal, asked, origin)
    if found.grant_id not in locked:
        raise Unavailable("授权刚刚变更，请重试", "The grant has just changed: try again")
    reading = _reading(runtime, principal, asked, found, question=question, origin=origin)
    taken = await take(connection, reading)
    await outbox.add_on_connection(connection, *_events(principal, reading, found, taken), at=reading.at)
    return _answer(asked, reading, found, taken)


async def check(
    connection: asyncpg.Connection, runtime: Runtime, principal: Principal, asked: QueryAsked, origin: str
) -> CheckAnswer:
    """Say whether a query like this would be answered now, by the same statement; nothing is read or counted.

    Raises the refusal that the query would get.
    """
    question = _question(runtime, principal, asked, origin)
    found = await verdict(connection, question)
    await _require(found, question, principal, asked, origin)
    assert found.grant_id  # a link of the chain
    assert found.valid_until
    return CheckAnswer(
        grant_id=found.grant_id,
        fields=list(asked.fields or found.fields),
        valid_until=found.valid_until,
        quota_left=QuotaLeft(calls=found.left.calls, rows=found.left.rows, subjects=found.left.subjects),
    )


async def usable_grants(session: AsyncSession, runtime: Runtime, principal: Principal, origin: str) -> list[UUID]:
    """Return the grants under which the principal could query now, by the same statement."""
    asked = _base(runtime, principal, origin)
    most = 1000  # one grant per resource is live at a time
    return [
        found.grant_id
        for found in await verdicts(await driver_connection(session), asked, most)
        if found.allowed and found.grant_id
    ]


@lru_cache(maxsize=1024)
def address(origin: str) -> str | None:
    """Return a network address in its plain form (IPv4 inside IPv6 as IPv4), None for what is none."""
    try:
        parsed = ip_address(origin)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or ip_address(int(parsed))
    return str(parsed)


def _base(runtime: Runtime, principal: Principal, origin: str, **more: Any) -> Question:
    if principal.kind == "service":
        raise Forbidden
    now = runtime.clock.now()
    return Question(
        kind=principal.kind,
        principal=principal.uuid,
        unit=principal.unit,
        unit_kind=principal.unit_kind,
        probe=principal.probe,
        origin=address(origin),
        now=now,
        day=now.astimezone(CITY).date(),
        **more,
    )


def _question(runtime: Runtime, principal: Principal, asked: QueryAsked, origin: str) -> Question:
    code = asked.subject.uscc if asked.subject else None
    return _base(
        runtime,
        principal,
        origin,
        resource=asked.resource,
        grant_id=asked.grant_id,
        purpose=asked.purpose,
        # To filter by a field is to learn of it.
        fields=tuple(dict.fromkeys([*asked.fields, *(condition.field for condition in asked.filters)])),
        mark=hashlib.sha256(code.encode()).digest() if code else None,
    )


async def _require(found: Verdict, question: Question, principal: Principal, asked: QueryAsked, origin: str) -> None:
    """Raise the refusal of the first false link, with the event that records it.

    A probe asks what a containment order did: it is refused by the link that this order made false, where there is one,
    and hears of all false links.
    """
    if found.allowed:
        return
    own_cause = f"order:{principal.probe}"
    named = next((link for link in found.false if principal.probe and link.cause == own_cause), found.false[0])
    refused = QueryRefused(
        query_id=new_id(),
        principal=principal.subject,
        unit_id=principal.unit,
        resource=asked.resource or found.resource or "",
        grant_id=found.grant_id or asked.grant_id,
        purpose=asked.purpose,
        case_number=asked.case_number,
        fields=asked.fields,
        reason=named.problem.slug,
        clause=named.clause or "",
        origin=origin,
        probe=principal.probe,
    )
    raise _refusal(named, found, question, refused)


def _refusal(named: FalseLink, found: Verdict, question: Question, event: QueryRefused) -> Problem:
    extra: dict[str, Any] = {"reason": named.problem.slug}
    headers = {}
    if named.cause:
        extra["cause"] = named.cause
    if named.problem is QuotaExhausted:
        extra["measure"] = named.link.removesuffix("_left")
        headers["Retry-After"] = str(_seconds_to_next_day(question.now))
    if named.link == "fields_granted":
        extra["fields"] = [name for name in question.fields if name not in found.fields]
    if question.probe:
        extra["links"] = [link.members() for link in found.false]
    return named.problem(clause=named.clause, headers=headers, event=event, **extra)


def _seconds_to_next_day(now: datetime) -> int:
    local = now.astimezone(CITY)
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), CITY)
    return max(1, int((midnight - local).total_seconds()) + 1)


def _reading(
    runtime: Runtime, principal: Principal, asked: QueryAsked, found: Verdict, *, question: Question, origin: str
) -> Reading:
    assert found.resource_id  # a link of the chain
    assert found.grant_id
    mark = question.mark
    if asked.subject and asked.subject.name:
        mark = hashlib.sha256(NAME_MARK + asked.subject.name.encode()).digest()
    page = runtime.policies.at("query-page", question.now).value
    return Reading(
        id=new_id(),
        resource_id=found.resource_id,
        grant_id=found.grant_id,
        principal=principal.subject,
        purpose=asked.purpose,
        case_number=asked.case_number,
        fields=asked.fields or found.fields,
        conditions=_conditions(asked, _specs(found.specs)),
        mark=mark,
        by_code=question.mark is not None,
        after=place_of(asked.cursor),
        most=min(asked.limit, page, found.left.rows),
        subjects_left=max(0, found.left.subjects),
        origin=address(origin) or "",
        day=question.day,
        at=question.now,
    )


def _conditions(asked: QueryAsked, specs: Mapping[str, FieldSpec]) -> list[Condition]:
    conditions = []
    if asked.subject and asked.subject.uscc:
        conditions.append(Condition("uscc", asked.subject.uscc))
    elif asked.subject and asked.subject.name:
        conditions.append(Condition("name", asked.subject.name))
    for wanted in asked.filters:
        spec = specs[wanted.field]
        if spec.mask != "none":
            raise FilterOnMaskedField(field=spec.name)
        if wanted.op != "equals" and spec.type != FieldType.DATE:
            raise Invalid("只有日期可按范围筛选", "Only dates can be filtered by a range", field=spec.name)
        conditions.append(Condition(wanted.op, wanted.value, spec.name))
    return conditions


@lru_cache(maxsize=512)
def _specs(text: str) -> Mapping[str, FieldSpec]:
    """Read the fields of a resource: the same text is the same fields, so reading it once is enough."""
    return {spec["name"]: FieldSpec.model_validate(spec) for spec in orjson.loads(text)}


def _events(principal: Principal, reading: Reading, found: Verdict, taken: Taken) -> list[Event]:
    assert principal.unit is not None
    queried = DataQueried(
        query_id=reading.id,
        grant_id=reading.grant_id,
        unit_id=principal.unit,
        resource_id=reading.resource_id,
        principal=reading.principal,
        purpose=reading.purpose,
        case_number=reading.case_number,
        fields=list(reading.fields),
        rows=len(taken.records),
        origin=reading.origin,
    )
    left = _left(found, taken)
    used_up = {
        "calls": left.calls == 0,
        "rows": left.rows == 0,
        "subjects": left.subjects <= 0 < found.left.subjects,
    }
    reached = [
        QuotaReached.model_validate(
            {"grant_id": reading.grant_id, "unit_id": principal.unit, "measure": measure, "day": reading.day}
        )
        for measure, is_used_up in used_up.items()
        if is_used_up
    ]
    return [queried, *reached]


def _left(found: Verdict, taken: Taken) -> Left:
    return Left(found.left.calls - 1, found.left.rows - len(taken.records), found.left.subjects - taken.new_subjects)


def _answer(asked: QueryAsked, reading: Reading, found: Verdict, taken: Taken) -> QueryAnswer:
    masks = [(name, _specs(found.specs)[name].mask) for name in reading.fields]
    left = _left(found, taken)
    return QueryAnswer(
        query_id=reading.id,
        grant_id=reading.grant_id,
        fields=list(reading.fields),
        records=[{name: mask_value(mask, record.get(name)) for name, mask in masks} for record in taken.records],
        next=cursor_of(taken.last) if taken.more and taken.last is not None else asked.cursor if taken.more else None,
        quota_left=QuotaLeft(calls=left.calls, rows=left.rows, subjects=max(0, left.subjects)),
    )
