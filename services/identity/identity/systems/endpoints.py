"""Doors of the connected systems."""

from uuid import UUID

from fastapi import Response

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.problems import NotFound
from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.acknowledgements.waiting import effect_on
from identity.permissions import (
    AnyCredential,
    CanApproveSystems,
    CanRegisterSystems,
    CanReinstateSystems,
    CanSuspendSystems,
)
from identity.runtime import RuntimeDep
from identity.sight import border_of
from identity.systems import queries, service
from identity.systems.schemas import ClientSecret, NewSystem, Reason, StoppedSystem, SystemView

__all__ = ["routes"]

routes = router("/identity/systems", "systems")


@routes.post("", status_code=201)
async def register_system(
    body: NewSystem, principal: CanRegisterSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemView:
    """Register a connected system of the own unit; it gets nothing before the center has approved it."""
    system = await service.register(
        write.session,
        runtime,
        principal,
        name=body.name,
        origins=body.origins,
        responsible=body.responsible_id or principal.uuid,
    )
    return SystemView.of(system)


@routes.get("")
async def list_systems(principal: AnyCredential, page: PageDep, session: SessionDep) -> Page[SystemView]:
    """Return the systems of the own unit; center and authority see all."""
    rows = await queries.systems_page(session, border_of(principal), page.after, page.limit + 1)
    return page_of(page, rows, SystemView.of, lambda row: row.id)


@routes.get("/{system_id}")
async def get_system(system_id: UUID, principal: AnyCredential, session: SessionDep) -> SystemView:
    """Return a system of the own unit; center and authority see all."""
    system = await queries.system_of(session, system_id, border_of(principal))
    if system is None:
        raise NotFound
    return SystemView.of(system)


@routes.post("/{system_id}/approve")
async def approve_system(
    system_id: UUID, principal: CanApproveSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemView:
    """Approve a registered system; its unit can then get the client secret."""
    return SystemView.of(await service.approve(write.session, runtime, principal, system_id))


@routes.post("/{system_id}/secret", status_code=201)
async def rotate_secret(
    system_id: UUID, principal: CanRegisterSystems, runtime: RuntimeDep, response: Response
) -> ClientSecret:
    """Get a new client secret, shown this once; the one before dies, with every token that it got."""
    async with runtime.database.transaction() as session:
        system = await queries.system_of(session, system_id, principal.unit)
        replaced = system is not None and system.secret_set_at is not None
        system, secret = await service.rotate_secret(session, runtime, principal, system_id)
        assert system.secret_set_at is not None
    response.headers["Cache-Control"] = "no-store"
    return ClientSecret(
        client_id=str(system.id),
        client_secret=secret,
        set_at=system.secret_set_at,
        effective=await effect_on(runtime, system.subject) if replaced else None,
    )


@routes.post("/{system_id}/suspend")
async def suspend_system(
    system_id: UUID, body: Reason, principal: CanSuspendSystems, runtime: RuntimeDep
) -> StoppedSystem:
    """Suspend a system; answers when no enforcement point accepts its tokens any more."""
    async with runtime.database.transaction() as session:
        if await queries.system_of(session, system_id, border_of(principal)) is None:
            raise NotFound
        await service.suspend(
            session, runtime, system_id, reason="system-suspended", cause=_cause(principal), note=body.reason
        )
        system = await queries.system_of(session, system_id, None)
        assert system is not None
    return StoppedSystem(system=SystemView.of(system), effective=await effect_on(runtime, system.subject))


@routes.post("/{system_id}/reinstate")
async def reinstate_system(
    system_id: UUID, principal: CanReinstateSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemView:
    """Lift the own suspension: unit and center each lift what they did."""
    if await queries.system_of(write.session, system_id, border_of(principal)) is None:
        raise NotFound
    await service.reinstate(write.session, runtime, system_id, cause=_cause(principal))
    system = await queries.system_of(write.session, system_id, None)
    assert system is not None
    return SystemView.of(system)


@routes.post("/{system_id}/decommission")
async def decommission_system(
    system_id: UUID, body: Reason, principal: CanSuspendSystems, runtime: RuntimeDep
) -> StoppedSystem:
    """End a system for good; its records stay."""
    async with runtime.database.transaction() as session:
        system = await service.decommission(session, runtime, system_id, border_of(principal), reason=body.reason)
    return StoppedSystem(system=SystemView.of(system), effective=await effect_on(runtime, system.subject))


def _cause(principal: Principal) -> str:
    side = "center" if principal.unit_kind == UnitKind.CENTER else "unit"
    return f"suspended-by:{side}"
