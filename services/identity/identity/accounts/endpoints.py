"""Doors of the accounts."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from common.enforcement.principals import Principal
from common.problems import NotFound
from common.web.authorization import Anonymous
from common.web.dependencies import SessionDep, WriteDep
from common.web.pagination import Page, PageDep, page_of
from common.web.routing import router
from identity.accounts import activation, queries, service
from identity.accounts.schemas import (
    AccountDetail,
    AccountView,
    Activation,
    ActivationChallenge,
    Confirmation,
    InvitedView,
    Invitee,
    NewAdministrator,
    Reason,
    SuspendedAccount,
    SuspensionView,
)
from identity.acknowledgements.waiting import effect_on
from identity.permissions import (
    CanInviteAccounts,
    CanInviteAdministrators,
    CanReadAccounts,
    CanReinstateAccounts,
    CanRevokeAccounts,
)
from identity.problems import OwnAccount
from identity.runtime import RuntimeDep
from identity.sight import border_of
from identity.suspensions.queries import open_suspensions
from identity.units.queries import unit_of

__all__ = ["routes"]

routes = router("/identity", "accounts")


@routes.post("/accounts", status_code=201)
async def invite_account(
    body: Invitee, principal: CanInviteAccounts, write: WriteDep, runtime: RuntimeDep
) -> InvitedView:
    """Invite a person of the own unit; the code is shown this once."""
    unit = await unit_of(write.session, principal.unit) if principal.unit else None
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
    return InvitedView.of(invited)


@routes.post("/accounts/administrators", status_code=201)
async def invite_administrator(
    body: NewAdministrator, principal: CanInviteAdministrators, write: WriteDep, runtime: RuntimeDep
) -> InvitedView:
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
    return InvitedView.of(invited)


@routes.post("/accounts/{account_id}/invitations", status_code=201)
async def renew_invitation(
    account_id: UUID, principal: CanInviteAccounts, write: WriteDep, runtime: RuntimeDep
) -> InvitedView:
    """Give a new activation code to somebody who has not activated yet; the one before ends."""
    return InvitedView.of(await service.renew_invitation(write.session, runtime, principal, account_id))


@routes.get("/accounts")
async def list_accounts(
    principal: CanReadAccounts,
    page: PageDep,
    session: SessionDep,
    unit: Annotated[UUID | None, Query(description="for center and authority: of this unit")] = None,
) -> Page[AccountView]:
    """Return the accounts of the own unit; center and authority see all."""
    own = border_of(principal)
    if own is not None and unit not in (None, own):
        raise NotFound
    rows = await queries.accounts_page(session, own or unit, page.after, page.limit + 1)
    return page_of(page, rows, AccountView.of, lambda row: row.id)


@routes.get("/accounts/{account_id}")
async def get_account(account_id: UUID, principal: CanReadAccounts, session: SessionDep) -> AccountDetail:
    """Return an account of the own unit with what holds it; center and authority see all."""
    account = await queries.account_of(session, account_id, border_of(principal))
    if account is None:
        raise NotFound
    held = await open_suspensions(session, "account_id", account.id)
    return AccountDetail(
        **AccountView.of(account).model_dump(),
        suspensions=[SuspensionView.model_validate(row, from_attributes=True) for row in held],
    )


@routes.post("/accounts/{account_id}/suspend")
async def suspend_account(
    account_id: UUID, body: Reason, principal: CanRevokeAccounts, runtime: RuntimeDep
) -> SuspendedAccount:
    """Suspend an account; answers when no enforcement point accepts its credentials any more."""
    _not_own(principal, account_id)
    async with runtime.database.transaction() as session:
        await service.suspend(
            session, runtime, account_id, reason="account-suspended", cause=_cause(principal), note=body.reason
        )
        account = await queries.account_of(session, account_id, None)
        if account is None:
            raise NotFound
    return SuspendedAccount(account=AccountView.of(account), effective=await effect_on(runtime, account.subject))


@routes.post("/accounts/{account_id}/reinstate")
async def reinstate_account(
    account_id: UUID, principal: CanReinstateAccounts, write: WriteDep, runtime: RuntimeDep
) -> AccountView:
    """Lift the center's suspension; another cause keeps the account suspended."""
    _not_own(principal, account_id)
    await service.reinstate(write.session, runtime, account_id, cause=_cause(principal))
    account = await queries.account_of(write.session, account_id, None)
    if account is None:
        raise NotFound
    return AccountView.of(account)


@routes.post("/activations", status_code=201)
async def begin_activation(
    body: Activation, _: Anonymous, runtime: RuntimeDep, response: Response
) -> ActivationChallenge:
    """Set the password and get the second factor; nothing is active before it is confirmed."""
    challenge = await activation.begin(
        runtime, login=body.login, code=body.code.get_secret_value(), password=body.password.get_secret_value()
    )
    response.headers["Cache-Control"] = "no-store"
    return ActivationChallenge(totp_secret=challenge.secret, otpauth_uri=challenge.uri, expires_at=challenge.expires_at)


@routes.post("/activations/confirm")
async def confirm_activation(body: Confirmation, _: Anonymous, write: WriteDep, runtime: RuntimeDep) -> AccountView:
    """Confirm the second factor: the account is active, and can sign in with the next code."""
    account = await activation.confirm(
        write.session, runtime, login=body.login, code=body.code.get_secret_value(), totp_code=body.totp
    )
    return AccountView.of(account)


def _not_own(principal: Principal, account_id: UUID) -> None:
    if principal.kind == "account" and principal.uuid == account_id:
        raise OwnAccount


def _cause(principal: Principal) -> str:
    return f"suspended-by:{principal.unit_kind}"
