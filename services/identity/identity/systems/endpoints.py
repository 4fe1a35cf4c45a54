"""Endpoints of connected systems."""

from uuid import UUID

from fastapi import Response
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.permissions import UnitKind
from common.enforcement.principals import Principal
from common.enforcement.tenancy import visible_unit
from common.problems import Forbidden, NotFound
from common.web.dependencies import SessionDep, Write, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.acknowledgements.waiting import commit_and_wait
from identity.permissions import (
    AnyCredential,
    CanApproveSystems,
    CanRegisterSystems,
    CanReinstateSystems,
    CanSuspendSystems,
)
from identity.runtime import Runtime, RuntimeDep
from identity.schemas import ReasonRequest
from identity.systems import queries, service
from identity.systems.models import ConnectedSystem
from identity.systems.problems import ApproverRegistered, OriginInvalid, ResponsibleUnknown, SystemStep
from identity.systems.schemas import ClientSecretResponse, SystemEffectResponse, SystemRequest, SystemResponse
from identity.units.problems import UnitNotActive

routes = router("/identity/systems", "systems")


@routes.post("", status_code=201)
@operation("登记接入系统", "Register a connected system", OriginInvalid, ResponsibleUnknown, UnitNotActive)
async def register_system(
    body: SystemRequest, principal: CanRegisterSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemResponse:
    """Register a connected system of the caller's unit; it gets no token before the center approves it."""
    system = await service.register(
        write.session,
        runtime,
        principal,
        name=body.name,
        origins=body.origins,
        responsible=body.responsible_id or principal.uuid,
    )
    return SystemResponse.of(system)


@routes.get("")
@operation("查看接入系统列表", "List connected systems", Forbidden)
async def list_systems(principal: AnyCredential, page: PageDep, session: SessionDep) -> Page[SystemResponse]:
    """Return the systems of the caller's unit; center and authority see all."""
    return Page.of(await queries.list_systems(session, visible_unit(principal), page), SystemResponse.of)


@routes.get("/{system_id}")
@operation("查看接入系统", "Get a connected system", NotFound, Forbidden)
async def get_system(system_id: UUID, principal: AnyCredential, session: SessionDep) -> SystemResponse:
    """Return a system of the caller's unit; center and authority see all."""
    system = await queries.get_system(session, system_id, visible_unit(principal))
    if system is None:
        raise NotFound
    return SystemResponse.of(system)


@routes.post("/{system_id}/approve")
@operation("批准接入系统", "Approve a connected system", NotFound, ApproverRegistered, SystemStep)
async def approve_system(
    system_id: UUID, principal: CanApproveSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemResponse:
    """Approve a registered system; its unit can then get the client secret."""
    return SystemResponse.of(await service.approve(write.session, runtime, principal, system_id))


@routes.post("/{system_id}/secret", status_code=201)
@operation("更换客户端密钥", "Set a new client secret", NotFound, SystemStep)
async def rotate_secret(
    system_id: UUID, principal: CanRegisterSystems, write: WriteDep, runtime: RuntimeDep, response: Response
) -> ClientSecretResponse:
    """Return a new client secret, shown this once; the previous one ends, with every token that it got."""
    system, secret, replaced = await service.rotate_secret(write.session, runtime, principal, system_id)
    assert system.secret_set_at is not None
    answer = ClientSecretResponse(
        client_id=str(system.id), client_secret=secret, set_at=system.secret_set_at, effective=None
    )
    response.headers["Cache-Control"] = "no-store"
    if not replaced:
        return answer
    return await commit_and_wait(
        write, runtime, system.subject, lambda effective: answer.model_copy(update={"effective": effective}), 201
    )


@routes.post("/{system_id}/suspend")
@operation("暂停接入系统", "Suspend a connected system", NotFound, Forbidden)
async def suspend_system(
    system_id: UUID, body: ReasonRequest, principal: CanSuspendSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemEffectResponse:
    """Suspend a system; wait until no enforcement point accepts its tokens."""
    system = await _visible(write.session, principal, system_id)
    await service.suspend(
        write.session, runtime, system_id, reason="system-suspended", cause=_cause(principal), note=body.reason
    )
    return await _effect(write, runtime, system)


@routes.post("/{system_id}/reinstate")
@operation("恢复接入系统", "Reinstate a connected system", NotFound, Forbidden)
async def reinstate_system(
    system_id: UUID, principal: CanReinstateSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemResponse:
    """Lift the suspension that the caller's side imposed: unit and center each lift their own."""
    system = await _visible(write.session, principal, system_id)
    await service.reinstate(write.session, runtime, system_id, cause=_cause(principal))
    return SystemResponse.of(system)


@routes.post("/{system_id}/decommission")
@operation("停用接入系统", "Decommission a connected system", NotFound, Forbidden)
async def decommission_system(
    system_id: UUID, body: ReasonRequest, principal: CanSuspendSystems, write: WriteDep, runtime: RuntimeDep
) -> SystemEffectResponse:
    """End a system for good; its records stay."""
    visible = visible_unit(principal)
    system = await service.decommission(write.session, runtime, system_id, visible, reason=body.reason)
    return await _effect(write, runtime, system)


async def _visible(session: AsyncSession, principal: Principal, system_id: UUID) -> ConnectedSystem:
    system = await queries.get_system(session, system_id, visible_unit(principal))
    if system is None:
        raise NotFound
    return system


async def _effect(write: Write, runtime: Runtime, system: ConnectedSystem) -> SystemEffectResponse:
    view = SystemResponse.of(system)
    return await commit_and_wait(
        write, runtime, system.subject, lambda effective: SystemEffectResponse(system=view, effective=effective)
    )


def _cause(principal: Principal) -> str:
    side = "center" if principal.unit_kind == UnitKind.CENTER else "unit"
    return f"suspended-by:{side}"
