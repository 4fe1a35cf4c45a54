"""Endpoints of enforcement points, for operators."""

from typing import Annotated

from fastapi import Query

from common.web.dependencies import SessionDep
from common.web.openapi import operation
from common.web.routing import router
from identity.cutoffs import queries
from identity.cutoffs.schemas import CutoffResponse, PointResponse, PointsResponse
from identity.permissions import CanManageOperations
from identity.runtime import RuntimeDep

routes = router("/identity/operations/points", "operations")


@routes.get("")
@operation("查看执行点与撤销回执", "List enforcement points")
async def list_points(
    _: CanManageOperations,
    session: SessionDep,
    runtime: RuntimeDep,
    cutoffs: Annotated[int, Query(ge=0, le=100, description="how many of the newest cutoffs")] = 20,
) -> PointsResponse:
    """List the enforcement points with the age of their last message, and the newest cutoffs with their receipts."""
    receipts = runtime.receipts
    live = receipts.live()
    newest = await queries.list_newest_cutoffs(session, cutoffs)
    given = await queries.list_receipts_by_cutoff(session, [row.id for row in newest])
    return PointsResponse(
        knows_all=receipts.knows_all(),
        bound=runtime.point.bound(),
        points=[
            PointResponse(point=point, live=point in live, last_sign_age=round(age, 3))
            for point, age in sorted(receipts.last_signs().items())
        ],
        cutoffs=[CutoffResponse.of(row, given[row.id]) for row in newest],
    )
