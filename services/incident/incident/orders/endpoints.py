"""Where somebody who saw to a failed order has it probed again."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends

from common.web.routing import router
from incident.breaches.schemas import BreachFile
from incident.breaches.service import sight_of
from incident.breaches.views import read_file, settled_file
from incident.idempotent_requests import Repeatable, WaitMs
from incident.orders import service
from incident.permissions import CanProposeLifts
from incident.runtime import RuntimeDep

__all__ = ["routes"]

routes = router("/incident/orders", "containment")


@routes.post("/{order_id}/probes", status_code=202)
async def probe_order_again(
    order_id: UUID,
    principal: CanProposeLifts,
    repeatable: Annotated[Repeatable, Depends()],
    runtime: RuntimeDep,
    wait_ms: WaitMs = 2000,
) -> BreachFile:
    """Probe an order again that was confirmed and that no probe has shown to work."""
    async with runtime.database.transaction() as session:
        await repeatable.begin(session, runtime)
        order = await service.probe_again(session, runtime, principal, order_id, unit=sight_of(principal))
        await repeatable.keep(session, await read_file(session, runtime, order.incident_id, sight_of(principal)), 202)
    return await settled_file(runtime, order.incident_id, wait_ms / 1000)
