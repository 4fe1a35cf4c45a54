"""Doors of sessions, and what the platform knows of the caller."""

from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.principals import Principal
from common.web.authorization import Anonymous, client_ip
from common.web.dependencies import SessionDep
from common.web.routing import router
from identity.accounts.queries import account_of
from identity.acknowledgements.waiting import effect_on
from identity.cutoffs.schemas import EffectivenessView
from identity.permissions import AnyCredential
from identity.posts.queries import appointments_held
from identity.runtime import Runtime, RuntimeDep
from identity.sessions import service
from identity.sessions.schemas import (
    AppointmentHeld,
    Me,
    Refresh,
    SessionTokens,
    SignIn,
    Standing,
    UnitStanding,
)
from identity.sessions.sign_in import sign_in as open_by_factors
from identity.systems.queries import system_of
from identity.training.course import undertaking
from identity.training.queries import signature_of, trained_until
from identity.units.queries import unit_of

__all__ = ["routes"]

routes = router("/identity", "sessions")


@routes.post("/sessions", status_code=201)
async def sign_in(
    body: SignIn, request: Request, _: Anonymous, runtime: RuntimeDep, response: Response
) -> SessionTokens:
    """Sign in with both factors; each code serves once."""
    tokens = await open_by_factors(
        runtime,
        login=body.login,
        password=body.password.get_secret_value(),
        totp_code=body.totp,
        origin=client_ip(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SessionTokens.of(tokens)


@routes.post("/sessions/refresh")
async def refresh_session(body: Refresh, _: Anonymous, runtime: RuntimeDep, response: Response) -> SessionTokens:
    """Use a refresh token up for new tokens; one that comes twice ends the session."""
    tokens = await service.refresh(runtime, body.refresh_token.get_secret_value())
    response.headers["Cache-Control"] = "no-store"
    return SessionTokens.of(tokens)


@routes.delete("/sessions/current")
async def sign_out(principal: AnyCredential, runtime: RuntimeDep) -> EffectivenessView:
    """Sign out; answers when no enforcement point accepts the session's tokens any more."""
    async with runtime.database.transaction() as session:
        row = await service.sign_out(session, runtime, principal.session)
    return await effect_on(runtime, row.subject)


@routes.get("/me")
async def get_me(principal: AnyCredential, request: Request, session: SessionDep, runtime: RuntimeDep) -> Me:
    """Return who the platform takes the caller for, from where, and what stands between the caller and credit data."""
    name, state = await _named(session, principal)
    unit = await unit_of(session, principal.unit) if principal.unit else None
    return Me(
        subject=principal.subject,
        kind=principal.kind,
        id=principal.id,
        name=name,
        state=state,
        unit=UnitStanding.model_validate(unit, from_attributes=True) if unit else None,
        permissions=sorted(principal.permissions),
        origin=client_ip(request),
        expires_at=principal.expires_at,
        standing=await _standing(session, runtime, principal.uuid) if principal.kind == "account" else None,
    )


async def _named(session: AsyncSession, principal: Principal) -> tuple[str | None, str | None]:
    if principal.kind == "account" and (account := await account_of(session, principal.uuid, None)):
        return account.name, account.state
    if principal.kind == "system" and (system := await system_of(session, principal.uuid, None)):
        return system.name, system.state
    return None, None


async def _standing(session: AsyncSession, runtime: Runtime, account_id: UUID) -> Standing:
    now = runtime.clock.now()
    until = await trained_until(session, account_id)
    signature = await signature_of(session, account_id, undertaking().digest)
    held = await appointments_held(session, account_id, now)
    return Standing(
        trained_until=until,
        training_current=until is not None and now < until,
        undertaking_signed=signature is not None,
        appointments=[AppointmentHeld(id=row.id, post=post.name, until=row.until) for row, post in held],
    )
