"""Where operators see the enforcement points and their receipts."""

from typing import Annotated

from fastapi import Query

from common.web.dependencies import SessionDep
from common.web.routing import router
from identity.cutoffs import queries
from identity.cutoffs.schemas import CutoffView, PointsView, PointView
from identity.permissions import CanManageOperations
from identity.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/identity/operations/points", "operations")


@routes.get("")
async def list_points(
    _: CanManageOperations,
    session: SessionDep,
    runtime: RuntimeDep,
    cutoffs: Annotated[int, Query(ge=0, le=100, description="how many of the newest cutoffs")] = 20,
) -> PointsView:
    """List the enforcement points with their last sign of life, and the newest cutoffs with their receipts."""
    receipts = runtime.receipts
    live = receipts.live()
    newest = await queries.newest_cutoffs(session, cutoffs)
    given = await queries.receipts_for(session, [row.id for row in newest])
    return PointsView(
        knows_all=receipts.knows_all(),
        bound=runtime.point.bound(),
        points=[
            PointView(point=point, live=point in live, last_sign_age=round(age, 3))
            for point, age in sorted(receipts.last_signs().items())
        ],
        cutoffs=[CutoffView.of(row, given[row.id]) for row in newest],
    )
