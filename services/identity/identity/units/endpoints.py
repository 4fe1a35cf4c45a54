"""Endpoints of units."""

from uuid import UUID

from fastapi import Request

from common.enforcement.principals import Principal
from common.enforcement.tenancy import sees_all_units, visible_unit
from common.problems import Forbidden, NotFound, TooLarge
from common.web.dependencies import SessionDep, Write, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.acknowledgements.waiting import commit_and_wait
from identity.permissions import (
    AnyCredential,
    CanDecommissionUnits,
    CanRegisterUnits,
    CanReinstateUnits,
    CanSuspendUnits,
)
from identity.runtime import Runtime, RuntimeDep
from identity.schemas import ReasonRequest
from identity.units import queries, service
from identity.units.csv_import import COLUMNS, read_units
from identity.units.models import Unit
from identity.units.problems import CsvUnreadable, UnitNotSuspendable, UnitStep
from identity.units.schemas import RejectedRowResponse, UnitEffectResponse, UnitImportResponse, UnitResponse

routes = router("/identity/units", "units")

CSV = {
    "requestBody": {
        "required": True,
        "description": "UTF-8, columns " + ", ".join(COLUMNS) + "; duties separated by semicolons",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}


@routes.post("/import", openapi_extra=CSV)
@operation("批量登记单位", "Import units", CsvUnreadable, TooLarge)
async def import_units(
    request: Request, _: CanRegisterUnits, write: WriteDep, runtime: RuntimeDep
) -> UnitImportResponse:
    """Register the units of a CSV file; rejected rows come back with line, column and reason."""
    outcome = await service.register_rows(write.session, runtime, read_units(await request.body()))
    return UnitImportResponse(
        registered=[UnitResponse.of(unit) for unit in outcome.registered],
        unchanged=[UnitResponse.of(unit) for unit in outcome.unchanged],
        rejected=[RejectedRowResponse.of(refused) for refused in outcome.rejected],
    )


@routes.get("")
@operation("查看单位列表", "List units", Forbidden)
async def list_units(principal: AnyCredential, page: PageDep, session: SessionDep) -> Page[UnitResponse]:
    """Return the caller's unit; center and authority see all."""
    return Page.of(await queries.list_units(session, visible_unit(principal), page), UnitResponse.of)


@routes.get("/{unit_id}")
@operation("查看单位", "Get a unit", NotFound)
async def get_unit(unit_id: UUID, principal: AnyCredential, session: SessionDep) -> UnitResponse:
    """Return the caller's unit; center and authority see all."""
    unit = await queries.get_unit(session, unit_id)
    if unit is None or not (sees_all_units(principal) or unit.id == principal.unit):
        raise NotFound
    return UnitResponse.of(unit)


@routes.post("/{unit_id}/suspend")
@operation("暂停单位", "Suspend a unit", NotFound, UnitNotSuspendable, UnitStep)
async def suspend_unit(
    unit_id: UUID, body: ReasonRequest, principal: CanSuspendUnits, write: WriteDep, runtime: RuntimeDep
) -> UnitEffectResponse:
    """End every credential of the unit's people and systems; wait until no enforcement point accepts them."""
    unit = await service.suspend(write.session, runtime, unit_id, note=body.reason, cause=_cause(principal))
    return await _effect(write, runtime, unit)


@routes.post("/{unit_id}/reinstate")
@operation("恢复单位", "Reinstate a unit", NotFound)
async def reinstate_unit(
    unit_id: UUID, principal: CanReinstateUnits, write: WriteDep, runtime: RuntimeDep
) -> UnitResponse:
    """Lift the suspension that the caller's side imposed: authority and center each lift their own."""
    return UnitResponse.of(await service.reinstate(write.session, runtime, unit_id, cause=_cause(principal)))


@routes.post("/{unit_id}/decommission")
@operation("停用单位", "Decommission a unit", NotFound, UnitNotSuspendable)
async def decommission_unit(
    unit_id: UUID, body: ReasonRequest, _: CanDecommissionUnits, write: WriteDep, runtime: RuntimeDep
) -> UnitEffectResponse:
    """End the unit for good, with its accounts and systems; their records stay."""
    unit = await service.decommission(write.session, runtime, unit_id, reason=body.reason)
    return await _effect(write, runtime, unit)


async def _effect(write: Write, runtime: Runtime, unit: Unit) -> UnitEffectResponse:
    view = UnitResponse.of(unit)
    return await commit_and_wait(
        write, runtime, unit.subject, lambda effective: UnitEffectResponse(unit=view, effective=effective)
    )


def _cause(principal: Principal) -> str:
    return f"suspended-by:{principal.unit_kind}"
