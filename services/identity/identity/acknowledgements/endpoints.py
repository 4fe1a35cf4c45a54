"""Endpoints of enforcement points, for operators."""

from typing import Annotated

from fastapi import Query

from common.web.dependencies import SessionDep
from common.web.openapi import operation
from common.web.routing import router
from identity.acknowledgements.queries import list_receipts_by_cutoff
from identity.acknowledgements.schemas import CutoffResponse, PointResponse, PointsResponse
from identity.cutoffs.queries import list_newest_cutoffs
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
    collector = runtime.acknowledgements
    live = collector.live()
    newest = await list_newest_cutoffs(session, cutoffs)
    receipts = await list_receipts_by_cutoff(session, [row.id for row in newest])
    return PointsResponse(
        knows_all=collector.knows_all(),
        bound=runtime.point.bound(),
        points=[
            PointResponse(point=point, live=point in live, last_sign_age=round(age, 3))
            for point, age in sorted(collector.heartbeat_ages().items())
        ],
        cutoffs=[CutoffResponse.of(row, receipts[row.id]) for row in newest],
    )
