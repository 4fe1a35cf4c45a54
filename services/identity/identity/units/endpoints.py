"""Doors of the units."""

from uuid import UUID

from fastapi import Request

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.problems import NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.acknowledgements.waiting import effect_on
from identity.permissions import (
    AnyCredential,
    CanDecommissionUnits,
    CanRegisterUnits,
    CanReinstateUnits,
    CanSuspendUnits,
)
from identity.runtime import RuntimeDep
from identity.units import queries, service
from identity.units.csv_import import COLUMNS, read_units
from identity.units.schemas import Reason, RejectedRow, SuspendedUnit, UnitImport, UnitView

__all__ = ["routes"]

routes = router("/identity/units", "units")

CSV = {
    "requestBody": {
        "required": True,
        "description": "UTF-8, columns " + ", ".join(COLUMNS) + "; duties separated by semicolons",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    }
}


@routes.post("/import", openapi_extra=CSV)
async def import_units(request: Request, _: CanRegisterUnits, write: WriteDep, runtime: RuntimeDep) -> UnitImport:
    """Register the units of a CSV file: good rows go in, bad rows come back with line, column and reason."""
    outcome = await service.register_rows(write.session, runtime, read_units(await request.body()))
    return UnitImport(
        registered=[UnitView.of(unit) for unit in outcome.registered],
        unchanged=[UnitView.of(unit) for unit in outcome.unchanged],
        rejected=[RejectedRow.of(refused) for refused in outcome.rejected],
    )


@routes.get("")
async def list_units(principal: AnyCredential, page: PageDep, session: SessionDep) -> Page[UnitView]:
    """Return the own unit; center and authority see all."""
    own = None if _sees_all(principal) else principal.unit or UUID(int=0)
    rows = await queries.units_page(session, own, page.after, page.limit + 1)
    return page_of(page, rows, UnitView.of, lambda row: row.id)


@routes.get("/{unit_id}")
async def get_unit(unit_id: UUID, principal: AnyCredential, session: SessionDep) -> UnitView:
    """Return the own unit; center and authority see all."""
    unit = await queries.unit_of(session, unit_id)
    if unit is None or not (_sees_all(principal) or unit.id == principal.unit):
        raise NotFound
    return UnitView.of(unit)


@routes.post("/{unit_id}/suspend")
async def suspend_unit(unit_id: UUID, body: Reason, principal: CanSuspendUnits, runtime: RuntimeDep) -> SuspendedUnit:
    """End every credential of the unit's people and systems; answers when no enforcement point accepts them any more."""
    async with runtime.database.transaction() as session:
        unit = await service.suspend(session, runtime, unit_id, note=body.reason, cause=_cause(principal))
    return SuspendedUnit(unit=UnitView.of(unit), effective=await effect_on(runtime, unit.subject))


@routes.post("/{unit_id}/reinstate")
async def reinstate_unit(unit_id: UUID, principal: CanReinstateUnits, write: WriteDep, runtime: RuntimeDep) -> UnitView:
    """Lift the own suspension: authority and center each lift what they did."""
    return UnitView.of(await service.reinstate(write.session, runtime, unit_id, cause=_cause(principal)))


@routes.post("/{unit_id}/decommission")
async def decommission_unit(unit_id: UUID, body: Reason, _: CanDecommissionUnits, runtime: RuntimeDep) -> SuspendedUnit:
    """End the unit for good, with its accounts and systems; their records stay."""
    async with runtime.database.transaction() as session:
        unit = await service.decommission(session, runtime, unit_id, reason=body.reason)
    return SuspendedUnit(unit=UnitView.of(unit), effective=await effect_on(runtime, unit.subject))


def _sees_all(principal: Principal) -> bool:
    return principal.unit_kind in (UnitKind.AUTHORITY, UnitKind.CENTER)


def _cause(principal: Principal) -> str:
    return f"suspended-by:{principal.unit_kind}"
