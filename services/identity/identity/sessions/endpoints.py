"""Endpoints of sessions and of the caller."""

from uuid import UUID

from fastapi import Request, Response
from sqlalchemy.ext.asyncio import AsyncSession

from common.enforcement.principals import Principal
from common.problems import NotFound
from common.web.authorization import Anonymous, client_ip
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.routing import router
from identity.accounts.queries import get_account
from identity.acknowledgements.schemas import EffectivenessResponse
from identity.acknowledgements.waiting import commit_and_wait
from identity.credentials.problems import TooManyLogins
from identity.permissions import AnyCredential
from identity.posts.queries import list_held_appointments
from identity.runtime import Runtime, RuntimeDep
from identity.sessions import service
from identity.sessions.problems import AccountSuspended, RefreshRefused, SignInRefused
from identity.sessions.schemas import (
    AccessConditionsResponse,
    CallerAppointmentResponse,
    CallerResponse,
    CallerUnitResponse,
    RefreshRequest,
    SessionTokensResponse,
    SignInRequest,
)
from identity.sessions.sign_in import sign_in as open_by_factors
from identity.signing.problems import SigningKeyMissing
from identity.systems.queries import get_system
from identity.training.course import undertaking
from identity.training.queries import get_signature, get_training_end
from identity.units.problems import UnitNotActive
from identity.units.queries import get_unit

routes = router("/identity", "sessions")

TOKENS_NOT_STORED = (
    "答复含令牌，不予保存；丢失时重新登录",
    "The answer holds tokens and is not stored; after a loss, sign in again",
)


@routes.post("/sessions", status_code=201)
@operation(
    "登录",
    "Sign in",
    SignInRefused,
    AccountSuspended,
    UnitNotActive,
    TooManyLogins,
    SigningKeyMissing,
    no_key=TOKENS_NOT_STORED,
)
async def sign_in(
    body: SignInRequest, request: Request, _: Anonymous, runtime: RuntimeDep, response: Response
) -> SessionTokensResponse:
    """Sign in with both factors; each code is accepted once."""
    tokens = await open_by_factors(
        runtime,
        login=body.login,
        password=body.password.get_secret_value(),
        totp_code=body.totp,
        origin=client_ip(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return SessionTokensResponse.of(tokens)


@routes.post("/sessions/refresh")
@operation("刷新令牌", "Refresh the tokens", RefreshRefused, SigningKeyMissing, no_key=TOKENS_NOT_STORED)
async def refresh_session(
    body: RefreshRequest, _: Anonymous, runtime: RuntimeDep, response: Response
) -> SessionTokensResponse:
    """Exchange a refresh token for new tokens; a refresh token used twice ends the session."""
    tokens = await service.refresh(runtime, body.refresh_token.get_secret_value())
    response.headers["Cache-Control"] = "no-store"
    return SessionTokensResponse.of(tokens)


@routes.delete("/sessions/current")
@operation("退出登录", "Sign out", NotFound)
async def sign_out(principal: AnyCredential, write: WriteDep, runtime: RuntimeDep) -> EffectivenessResponse:
    """Sign out; wait until no enforcement point accepts the session's tokens."""
    row = await service.sign_out(write.session, runtime, principal.session)
    return await commit_and_wait(write, runtime, row.subject, lambda effective: effective)


@routes.get("/me")
@operation("查看本人", "Get the caller")
async def get_me(
    principal: AnyCredential, request: Request, session: SessionDep, runtime: RuntimeDep
) -> CallerResponse:
    """Return the caller, and the conditions that the caller meets for access to credit data."""
    name, state = await _named(session, principal)
    unit = await get_unit(session, principal.unit) if principal.unit else None
    return CallerResponse(
        subject=principal.subject,
        kind=principal.kind,
        id=principal.id,
        name=name,
        state=state,
        unit=CallerUnitResponse.model_validate(unit, from_attributes=True) if unit else None,
        permissions=sorted(principal.permissions),
        origin=client_ip(request),
        expires_at=principal.expires_at,
        standing=await _access_conditions(session, runtime, principal.uuid) if principal.kind == "account" else None,
    )


async def _named(session: AsyncSession, principal: Principal) -> tuple[str | None, str | None]:
    if principal.kind == "account" and (account := await get_account(session, principal.uuid, None)):
        return account.name, account.state
    if principal.kind == "system" and (system := await get_system(session, principal.uuid, None)):
        return system.name, system.state
    return None, None


async def _access_conditions(session: AsyncSession, runtime: Runtime, account_id: UUID) -> AccessConditionsResponse:
    now = runtime.clock.now()
    until = await get_training_end(session, account_id)
    signature = await get_signature(session, account_id, undertaking().digest)
    held = await list_held_appointments(session, account_id, now)
    return AccessConditionsResponse(
        trained_until=until,
        training_current=until is not None and now < until,
        undertaking_signed=signature is not None,
        appointments=[CallerAppointmentResponse(id=row.id, post=post.name, until=row.until) for row, post in held],
    )
