"""Problems of denied queries and checks, with the events that record them."""

from datetime import datetime, time, timedelta
from typing import Any

from common.clock import CITY
from common.contracts.events.datashare import QueryRefused
from common.enforcement.principals import Principal
from common.ids import new_id
from common.problems import Problem
from datashare.data_queries.authorization import AuthorizationRequest, DenialReason, Verdict
from datashare.data_queries.problems import QuotaExhausted
from datashare.data_queries.schemas import QueryRequest


def require_allowed(
    verdict: Verdict, authorization: AuthorizationRequest, principal: Principal, request: QueryRequest, origin: str
) -> None:
    """Raise the problem of the first false link, with the event that records it.

    A probe tests a containment order: its problem is that of the link which this order made false, where there is one,
    and lists all false links.
    """
    if verdict.allowed:
        return
    own_cause = f"order:{principal.probe}"
    denial = next((each for each in verdict.denials if principal.probe and each.cause == own_cause), verdict.denials[0])
    refused = QueryRefused(
        query_id=new_id(),
        principal=principal.subject,
        unit_id=principal.unit,
        resource=request.resource or verdict.resource or "",
        grant_id=verdict.grant_id or request.grant_id,
        purpose=request.purpose,
        case_number=request.case_number,
        fields=request.fields,
        reason=denial.problem.slug,
        clause=denial.clause or "",
        origin=origin,
        probe=principal.probe,
    )
    raise _problem(denial, verdict, authorization, refused)


def _problem(
    denial: DenialReason, verdict: Verdict, authorization: AuthorizationRequest, event: QueryRefused
) -> Problem:
    extra: dict[str, Any] = {"reason": denial.problem.slug}
    headers = {}
    if denial.cause:
        extra["cause"] = denial.cause
    if denial.problem is QuotaExhausted:
        extra["measure"] = denial.link.removesuffix("_left")
        headers["Retry-After"] = str(_seconds_to_next_day(authorization.now))
    if denial.link == "fields_granted":
        extra["fields"] = [name for name in authorization.fields if name not in verdict.fields]
    if authorization.probe:
        extra["links"] = [each.members() for each in verdict.denials]
    return denial.problem(clause=denial.clause, headers=headers, event=event, **extra)


def _seconds_to_next_day(now: datetime) -> int:
    local = now.astimezone(CITY)
    midnight = datetime.combine(local.date() + timedelta(days=1), time(), CITY)
    return max(1, int((midnight - local).total_seconds()) + 1)
