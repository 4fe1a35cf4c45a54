"""Endpoints of accounts: invitation, activation, suspension."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from common.enforcement.principals import Principal
from common.enforcement.tenancy import requested_unit, visible_unit
from common.problems import Forbidden, NotFound
from common.web.authorization import Anonymous
from common.web.dependencies import SessionDep, WriteDep
from common.web.openapi import operation
from common.web.pagination import Page, PageDep
from common.web.routing import router
from identity.accounts import activation, queries, service
from identity.accounts.problems import (
    AccountStep,
    ActivationRefused,
    IdNumberInvalid,
    LoginTaken,
    OwnAccount,
    PersonHasAccount,
)
from identity.accounts.schemas import (
    AccountDetailResponse,
    AccountEffectResponse,
    AccountResponse,
    ActivationChallengeResponse,
    ActivationConfirmRequest,
    ActivationRequest,
    AdministratorInvitationRequest,
    InvitationRequest,
    InvitationResponse,
    SuspensionResponse,
)
from identity.acknowledgements.waiting import commit_and_wait
from identity.credentials.problems import TooManyLogins, WeakPassword
from identity.permissions import (
    CanInviteAccounts,
    CanInviteAdministrators,
    CanReadAccounts,
    CanReinstateAccounts,
    CanRevokeAccounts,
)
from identity.runtime import RuntimeDep
from identity.schemas import ReasonRequest
from identity.suspensions.queries import list_open_suspensions
from identity.units.problems import UnitNotActive, UnitNotSuspendable
from identity.units.queries import get_unit

routes = router("/identity", "accounts")

INVITATION_PROBLEMS = (UnitNotActive, IdNumberInvalid, PersonHasAccount, LoginTaken)


@routes.post("/accounts", status_code=201)
@operation("邀请本单位人员", "Invite a person", NotFound, *INVITATION_PROBLEMS)
async def invite_account(
    body: InvitationRequest, principal: CanInviteAccounts, write: WriteDep, runtime: RuntimeDep
) -> InvitationResponse:
    """Invite a person of the caller's unit; the activation code is shown once."""
    unit = await get_unit(write.session, principal.unit) if principal.unit else None
    if unit is None:
        raise NotFound
    invited = await service.invite(
        write.session,
        runtime,
        unit,
        name=body.name,
        login=body.login,
        id_number=body.id_number.get_secret_value(),
        by=principal.uuid,
    )
    return InvitationResponse.of(invited)


@routes.post("/accounts/administrators", status_code=201)
@operation("邀请单位管理员", "Invite an administrator", NotFound, UnitNotSuspendable, *INVITATION_PROBLEMS)
async def invite_administrator(
    body: AdministratorInvitationRequest, principal: CanInviteAdministrators, write: WriteDep, runtime: RuntimeDep
) -> InvitationResponse:
    """Invite the administrator of a using unit; the post is taken up on activation."""
    invited = await service.invite_administrator(
        write.session,
        runtime,
        principal,
        unit_id=body.unit_id,
        name=body.name,
        login=body.login,
        id_number=body.id_number.get_secret_value(),
    )
    return InvitationResponse.of(invited)


@routes.post("/accounts/{account_id}/invitations", status_code=201)
@operation("更新激活码", "Renew an invitation", NotFound, AccountStep)
async def renew_invitation(
    account_id: UUID, principal: CanInviteAccounts, write: WriteDep, runtime: RuntimeDep
) -> InvitationResponse:
    """Return a new activation code for an account that is not active yet; the previous code ends."""
    return InvitationResponse.of(await service.renew_invitation(write.session, runtime, principal, account_id))


@routes.get("/accounts")
@operation("查看人员列表", "List accounts", NotFound, Forbidden)
async def list_accounts(
    principal: CanReadAccounts,
    page: PageDep,
    session: SessionDep,
    unit: Annotated[UUID | None, Query(description="for center and authority: of this unit")] = None,
) -> Page[AccountResponse]:
    """Return the accounts of the caller's unit; center and authority see all."""
    return Page.of(await queries.list_accounts(session, requested_unit(principal, unit), page), AccountResponse.of)


@routes.get("/accounts/{account_id}")
@operation("查看人员", "Get an account", NotFound, Forbidden)
async def get_account(account_id: UUID, principal: CanReadAccounts, session: SessionDep) -> AccountDetailResponse:
    """Return an account of the caller's unit with its open suspensions; center and authority see all."""
    account = await queries.get_account(session, account_id, visible_unit(principal))
    if account is None:
        raise NotFound
    suspensions = await list_open_suspensions(session, account)
    return AccountDetailResponse(
        **AccountResponse.of(account).model_dump(),
        suspensions=[SuspensionResponse.model_validate(row, from_attributes=True) for row in suspensions],
    )


@routes.post("/accounts/{account_id}/suspend")
@operation("暂停账号", "Suspend an account", NotFound, OwnAccount)
async def suspend_account(
    account_id: UUID, body: ReasonRequest, principal: CanRevokeAccounts, write: WriteDep, runtime: RuntimeDep
) -> AccountEffectResponse:
    """Suspend an account; wait until no enforcement point accepts its credentials."""
    _refuse_own_account(principal, account_id)
    await service.suspend(
        write.session, runtime, account_id, reason="account-suspended", cause=_cause(principal), note=body.reason
    )
    account = await queries.get_account(write.session, account_id, None)
    if account is None:
        raise NotFound
    view = AccountResponse.of(account)
    return await commit_and_wait(
        write, runtime, account.subject, lambda effective: AccountEffectResponse(account=view, effective=effective)
    )


@routes.post("/accounts/{account_id}/reinstate")
@operation("恢复账号", "Reinstate an account", NotFound, OwnAccount)
async def reinstate_account(
    account_id: UUID, principal: CanReinstateAccounts, write: WriteDep, runtime: RuntimeDep
) -> AccountResponse:
    """Lift the center's suspension; another cause keeps the account suspended."""
    _refuse_own_account(principal, account_id)
    await service.reinstate(write.session, runtime, account_id, cause=_cause(principal))
    account = await queries.get_account(write.session, account_id, None)
    if account is None:
        raise NotFound
    return AccountResponse.of(account)


@routes.post("/activations", status_code=201)
@operation(
    "开始激活",
    "Begin an activation",
    ActivationRefused,
    WeakPassword,
    UnitNotActive,
    TooManyLogins,
    no_key=(
        "答复含第二因素密钥，不予保存；重复请求生成新的密钥",
        "The answer holds the second factor's secret and is not stored; a repeat makes a new one",
    ),
)
async def begin_activation(
    body: ActivationRequest, _: Anonymous, runtime: RuntimeDep, response: Response
) -> ActivationChallengeResponse:
    """Set the password and get the second factor; nothing is active before it is confirmed."""
    challenge = await activation.begin(
        runtime, login=body.login, code=body.code.get_secret_value(), password=body.password.get_secret_value()
    )
    response.headers["Cache-Control"] = "no-store"
    return ActivationChallengeResponse(
        totp_secret=challenge.secret, otpauth_uri=challenge.uri, expires_at=challenge.expires_at
    )


@routes.post("/activations/confirm")
@operation("确认激活", "Confirm an activation", ActivationRefused, UnitNotActive)
async def confirm_activation(
    body: ActivationConfirmRequest, _: Anonymous, write: WriteDep, runtime: RuntimeDep
) -> AccountResponse:
    """Confirm the second factor: the account is active, and can sign in with the next code."""
    account = await activation.confirm(
        write.session, runtime, login=body.login, code=body.code.get_secret_value(), totp_code=body.totp
    )
    return AccountResponse.of(account)


def _refuse_own_account(principal: Principal, account_id: UUID) -> None:
    if principal.kind == "account" and principal.uuid == account_id:
        raise OwnAccount


def _cause(principal: Principal) -> str:
    return f"suspended-by:{principal.unit_kind}"
