"""Doors of queries and checks: the only ones through which credit data leaves (7.4)."""

from fastapi import Request

from common.auth import origin_of
from common.http import router
from common.runtime import RuntimeDep
from datashare.permissions import CanAskForData
from datashare.queries import service
from datashare.queries.schemas import CheckAnswer, QueryAnswer, QueryAsked

__all__ = ["routes"]

routes = router("/datashare", "queries")


@routes.post("/queries")
async def query(body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep) -> QueryAnswer:
    """Query credit data under a grant. The answer leaves after its record is durable, or does not leave."""
    # No Idempotency-Key here: a kept answer would give data again after the grant has ended.
    async with runtime.database.transaction() as session:
        return await service.query(session, runtime, principal, body, origin_of(request))


@routes.post("/checks")
async def check(body: QueryAsked, request: Request, principal: CanAskForData, runtime: RuntimeDep) -> CheckAnswer:
    """Say whether such a query would be answered now; a refusal is the one that the query would get."""
    async with runtime.database.transaction() as session:
        return await service.check(session, runtime, principal, body, origin_of(request))
