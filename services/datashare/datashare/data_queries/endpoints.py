"""Endpoints of queries and checks: no other endpoint returns credit data (7.4)."""

from fastapi import Request, Response
from pydantic import BaseModel

from common.problems import Forbidden, Unavailable
from common.storage.database import DatabaseUnavailable
from common.web.authorization import client_ip
from common.web.fast_routes import fast_router
from common.web.openapi import operation
from datashare.data_queries import service
from datashare.data_queries.authorization import LINKS
from datashare.data_queries.problems import FilterOnMaskedField
from datashare.data_queries.schemas import CheckAnswer, QueryAnswer, QueryAsked
from datashare.permissions import CanAskForData
from datashare.runtime import RuntimeDep

__all__ = ["routes"]

routes = fast_router("/datashare", "queries")


@routes.post("/queries", response_model=QueryAnswer)
@operation(
    "查询公共信用数据",
    "Query credit data",
    *LINKS.values(),
    FilterOnMaskedField,
    Forbidden,
    Unavailable,
    DatabaseUnavailable,
    no_key=(
        "每次查询均计入额度；保存的应答会在授权终止后再次提供信用数据",
        "Each query counts against the quota; a stored answer would give credit data after the grant has ended",
    ),
)
async def query_credit_data(
    body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep
) -> Response:
    """Query credit data under a grant. The answer leaves after its record is durable, or does not leave."""
    async with runtime.database.raw_transaction() as connection:
        answer = await service.query(connection, runtime, principal, body, client_ip(request))
    return _sent(answer)


@routes.post("/checks", response_model=CheckAnswer)
@operation(
    "查询前核验",
    "Check whether a query would be answered",
    *LINKS.values(),
    Forbidden,
    DatabaseUnavailable,
    no_key=("核验不改变任何数据，可直接重复", "A check changes nothing and can be repeated"),
)
async def check_query(body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep) -> Response:
    """Say whether such a query would be answered now; a refusal is the one that the query would get."""
    async with runtime.database.raw_transaction(begin=False) as connection:
        answer = await service.check(connection, runtime, principal, body, client_ip(request))
    return _sent(answer)


def _sent(answer: BaseModel) -> Response:
    """Write the answer out: it was validated when it was made, and need not be once more."""
    return Response(answer.model_dump_json(), media_type="application/json")
