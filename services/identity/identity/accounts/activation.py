"""Activation: an invited person sets a password, then confirms a second factor."""

import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from common.context import bind_actor
from common.contracts.events.identity import AccountActivated, AccountActivationStarted
from common.messaging import outbox
from common.storage.encryption import decrypt, encrypt
from identity.accounts.models import Account, AccountState, Invitation
from identity.accounts.problems import ActivationRefused
from identity.accounts.queries import (
    get_account_by_login,
    get_newest_invitation,
    get_open_invitation,
    lock_account,
    lock_open_invitation,
)
from identity.accounts.service import code_hash
from identity.credentials import totp
from identity.credentials.passwords import check_strength
from identity.credentials.problems import WeakPassword
from identity.posts import service as posts
from identity.posts.queries import get_post
from identity.runtime import Runtime
from identity.units.models import Unit
from identity.units.problems import UnitNotActive
from identity.units.queries import get_unit, lock_unit_state

TOTP_ISSUER = "信盾 Xindun"


@dataclass(frozen=True, slots=True)
class Challenge:
    """The new second factor: shown once, in effect when its first code confirms it."""

    secret: str
    uri: str
    expires_at: datetime


async def begin(runtime: Runtime, *, login: str, code: str, password: str) -> Challenge:
    """Set the password and generate a second factor; both wait with the invitation. A repeat replaces them. Clause 7.6.

    Raises `ActivationRefused`, `WeakPassword`, `UnitNotActive`, `TooManyLogins`.
    """
    async with runtime.database.transaction() as session:
        account, unit = await _invited(session, runtime, login, code)
        words = [account.name, unit.name, login]
    if weaknesses := check_strength(password, words):
        found = [{"slug": w.slug, "zh": w.zh, "en": w.en} for w in weaknesses]
        raise WeakPassword("；".join(w.zh for w in weaknesses), "; ".join(w.en for w in weaknesses), weaknesses=found)
    # Outside of any transaction, because hashing may wait in a queue.
    password_hash = await runtime.passwords.hash_password(password)
    secret = totp.generate_secret()
    async with runtime.database.transaction() as session:
        account, invitation = await _lock_invited(session, runtime, login, code)
        invitation.password_hash = password_hash
        invitation.totp_secret = encrypt(runtime.settings.encryption_key(), secret.encode(), account.totp_context)
        expires_at = invitation.expires_at
        bind_actor(actor=account.subject, unit=str(account.unit_id))
        event = AccountActivationStarted(account_id=account.id, unit_id=account.unit_id)
        outbox.add(session, event, at=runtime.clock.now())
    return Challenge(secret, totp.provisioning_uri(secret, login, TOTP_ISSUER), expires_at)


async def confirm(session: AsyncSession, runtime: Runtime, *, login: str, code: str, totp_code: str) -> Account:
    """Activate the account and appoint it to the post of the invitation. Clause 7.6.

    A repeat with the same two codes gets the same answer and changes nothing. Raises `ActivationRefused`, `UnitNotActive`.
    """
    try:
        account, invitation = await _lock_invited(session, runtime, login, code)
    except ActivationRefused:
        if done := await _confirmed(session, runtime, login, code, totp_code):
            return done
        raise
    now = runtime.clock.now()
    if invitation.password_hash is None or invitation.totp_secret is None:
        raise ActivationRefused
    encrypted_secret = invitation.totp_secret
    secret = decrypt(runtime.settings.encryption_key(), encrypted_secret, account.totp_context).decode()
    step = totp.accept(secret, totp_code, now, None)
    if step is None:
        raise ActivationRefused
    bind_actor(actor=account.subject, unit=str(account.unit_id))
    account.activate(now, invitation.password_hash, encrypted_secret, step)
    outbox.add(session, AccountActivated(account_id=account.id, unit_id=account.unit_id), at=now)
    post = await get_post(session, invitation.post_id, account.unit_id) if invitation.post_id else None
    if post:
        await posts.appoint(session, runtime, account, post, by=invitation.invited_by)
    invitation.end(now)
    return account


async def _confirmed(session: AsyncSession, runtime: Runtime, login: str, code: str, totp_code: str) -> Account | None:
    """Return the account that these two codes activated, while the second is valid and no later one was used."""
    account = await get_account_by_login(session, login)
    if account is None or account.state != AccountState.ACTIVE or account.totp_secret is None:
        return None
    invitation = await get_newest_invitation(session, account.id)
    if (
        invitation is None
        or invitation.ended_at != account.activated_at
        or not hmac.compare_digest(invitation.code_hash, code_hash(code))
    ):
        return None
    secret = decrypt(runtime.settings.encryption_key(), account.totp_secret, account.totp_context).decode()
    step = account.totp_step
    assert step is not None
    return account if totp.accept(secret, totp_code, runtime.clock.now(), step - 1) == step else None


async def _invited(session: AsyncSession, runtime: Runtime, login: str, code: str) -> tuple[Account, Unit]:
    """Return the account of the code, and its unit. Raises `UnitNotActive`, and `ActivationRefused` for any other fault."""
    account = await get_account_by_login(session, login)
    invitation = await get_open_invitation(session, account.id) if account else None
    account, _ = _check_code(runtime, account, invitation, code)
    return account, _check_unit(await get_unit(session, account.unit_id))


async def _lock_invited(session: AsyncSession, runtime: Runtime, login: str, code: str) -> tuple[Account, Invitation]:
    """Return account and invitation, locked for a change. Raises as `_invited` does."""
    known = await get_account_by_login(session, login)
    account = await lock_account(session, known.id, None) if known else None
    invitation = await lock_open_invitation(session, account.id) if account else None
    account, invitation = _check_code(runtime, account, invitation, code)
    _check_unit(await lock_unit_state(session, account.unit_id))
    return account, invitation


def _check_code(
    runtime: Runtime, account: Account | None, invitation: Invitation | None, code: str
) -> tuple[Account, Invitation]:
    if (
        account is None
        or invitation is None
        or account.state != AccountState.INVITED
        or not hmac.compare_digest(invitation.code_hash, code_hash(code))
        or runtime.clock.now() >= invitation.expires_at
    ):
        raise ActivationRefused
    return account, invitation


def _check_unit(unit: Unit | None) -> Unit:
    if unit is None or not unit.active:
        raise UnitNotActive
    return unit
