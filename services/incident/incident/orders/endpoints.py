"""Endpoints of containment orders."""

from uuid import UUID

from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden
from common.web.dependencies import WriteDep
from common.web.openapi import operation
from common.web.routing import router
from incident.breaches.problems import BreachUnknown
from incident.breaches.schemas import Breach, WaitMs
from incident.breaches.views import get_breach_view, wait_until_settled
from incident.orders import service
from incident.orders.problems import OrderStepForbidden
from incident.permissions import CanProposeLifts
from incident.runtime import RuntimeDep

routes = router("/incident/orders", "containment")


@routes.post("/{order_id}/probes", status_code=202)
@operation("重新探测遏制指令", "Probe a containment order again", BreachUnknown, OrderStepForbidden, Forbidden)
async def probe_order_again(
    order_id: UUID, principal: CanProposeLifts, write: WriteDep, runtime: RuntimeDep, wait_ms: WaitMs = 2000
) -> Breach:
    """Probe an order again that was confirmed and that no probe has shown to work."""
    unit = visible_unit(principal)
    order = await service.probe_again(write.session, runtime, principal, order_id, unit=unit)
    await write.commit(await get_breach_view(write.session, runtime, order.incident_id, unit), 202)
    return await wait_until_settled(runtime, order.incident_id, wait_ms / 1000)
