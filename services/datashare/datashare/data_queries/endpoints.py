"""Endpoints of queries and checks: no other endpoint returns credit data (7.4)."""

from fastapi import Request, Response
from pydantic import BaseModel

from common.problems import Forbidden, Unavailable
from common.storage.database import DatabaseUnavailable
from common.web.authorization import client_ip
from common.web.fast_routes import fast_router
from common.web.openapi import operation
from datashare.data_queries import service
from datashare.data_queries.authorization import LINK_PROBLEMS
from datashare.data_queries.problems import FilterOnMaskedField
from datashare.data_queries.schemas import CheckResponse, QueryRequest, QueryResponse
from datashare.permissions import CanQuery
from datashare.runtime import RuntimeDep

routes = fast_router("/datashare", "queries")


@routes.post("/queries", response_model=QueryResponse)
@operation(
    "查询公共信用数据",
    "Query credit data",
    *LINK_PROBLEMS.values(),
    FilterOnMaskedField,
    Forbidden,
    Unavailable,
    DatabaseUnavailable,
    no_key=(
        "每次查询均计入额度；保存的应答会在授权终止后再次提供信用数据",
        "Each query counts against the quota; a stored answer would give credit data after the grant has ended",
    ),
)
async def query_credit_data(body: QueryRequest, request: Request, principal: CanQuery, runtime: RuntimeDep) -> Response:
    """Query credit data under a grant. The response leaves only after its record is durable."""
    async with runtime.database.raw_transaction() as connection:
        answer = await service.query_credit_data(connection, runtime, principal, body, client_ip(request))
    return _json_response(answer)


@routes.post("/checks", response_model=CheckResponse)
@operation(
    "查询前核验",
    "Check whether a query would be answered",
    *LINK_PROBLEMS.values(),
    Forbidden,
    DatabaseUnavailable,
    no_key=("核验不改变任何数据，可直接重复", "A check changes nothing and can be repeated"),
)
async def check_query(body: QueryRequest, request: Request, principal: CanQuery, runtime: RuntimeDep) -> Response:
    """Apply the verdict of a query without reading records; the problem is the one that the query would raise."""
    async with runtime.database.raw_transaction(begin=False) as connection:
        answer = await service.check_query(connection, runtime, principal, body, client_ip(request))
    return _json_response(answer)


def _json_response(answer: BaseModel) -> Response:
    """Serialize a validated body, without FastAPI's second validation."""
    return Response(answer.model_dump_json(), media_type="application/json")
