"""Doors of queries and checks: the only ones through which credit data leaves (7.4)."""

from fastapi import Request, Response
from pydantic import BaseModel

from common.web.authorization import client_ip
from common.web.fast_routes import fast_router
from datashare.data_queries import service
from datashare.data_queries.schemas import CheckAnswer, QueryAnswer, QueryAsked
from datashare.permissions import CanAskForData
from datashare.runtime import RuntimeDep

__all__ = ["routes"]

routes = fast_router("/datashare", "queries")


@routes.post("/queries", response_model=QueryAnswer)
async def query(body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep) -> Response:
    """Query credit data under a grant. The answer leaves after its record is durable, or does not leave."""
    # No Idempotency-Key here: a kept answer would give data again after the grant has ended.
    async with runtime.database.raw_transaction() as connection:
        answer = await service.query(connection, runtime, principal, body, client_ip(request))
    return _sent(answer)


@routes.post("/checks", response_model=CheckAnswer)
async def check(body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep) -> Response:
    """Say whether such a query would be answered now; a refusal is the one that the query would get."""
    async with runtime.database.raw_transaction(begin=False) as connection:
        answer = await service.check(connection, runtime, principal, body, client_ip(request))
    return _sent(answer)


def _sent(answer: BaseModel) -> Response:
    """Write the answer out: it was validated when it was made, and need not be once more."""
    return Response(answer.model_dump_json(), media_type="application/json")
