"""Signs people in with both factors; whatever is wrong, the answer and the time it takes are the same."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import SignInFailed
from common.storage.encryption import decrypt
from identity.accounts.models import Account, AccountState
from identity.accounts.queries import get_account_by_login, lock_account
from identity.credentials import totp
from identity.credentials.passwords import Passwords
from identity.runtime import Runtime
from identity.sessions.problems import AccountSuspended, SignInRefused
from identity.sessions.queries import delete_attempts, delete_old_attempts, lock_attempts
from identity.sessions.service import Tokens, open_session
from identity.units.problems import UnitNotActive
from identity.units.queries import lock_unit_state

NO_ACCOUNT = UUID(int=0)
NO_SECRET = "A" * 32
"""The secret that an unknown login's code is checked against, so that it takes as long."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: whose it may be, and what stands in its way already."""

    login: bytes
    account_id: UUID | None
    stored: str | None
    barred: bool
    last: bool


async def sign_in(runtime: Runtime, *, login: str, password: str, totp_code: str, origin: str) -> Tokens:
    """Open a session. Clause 7.6.

    Raises `SignInRefused` for anything wrong with the factors or too many failures (policies `login-attempts`,
    `login-lock`); once both are right `AccountSuspended`, `UnitNotActive`; `TooManyLogins`.
    """
    passwords: Passwords = runtime.passwords
    async with runtime.database.transaction() as session:
        attempt = await _begin(session, runtime, login)
    # Outside of any transaction: the password waits for its turn.
    right = await passwords.verify_password(None if attempt.barred else attempt.stored, password)
    fresh = None
    if right and attempt.stored and passwords.needs_rehash(attempt.stored):
        fresh = await passwords.hash_password(password)
    async with runtime.database.transaction() as session:
        account, step = await _second_factor(session, runtime, attempt, totp_code)
        if account is None or not right or step is None or account.password_hash != attempt.stored:
            wrong = "locked" if attempt.barred else "code" if right else "password"
            raise _refused(attempt, wrong, origin)
        account.totp_step = step
        account.password_hash = fresh or account.password_hash
        if account.state != AccountState.ACTIVE:
            raise AccountSuspended
        unit = await lock_unit_state(session, account.unit_id)
        assert unit is not None
        if not unit.active:
            raise UnitNotActive
        await delete_attempts(session, attempt.login)
        return await open_session(session, runtime, account, unit, origin=origin)


async def _begin(session: AsyncSession, runtime: Runtime, login: str) -> _Attempt:
    """Count the attempt before it is known whether it fails."""
    now = runtime.clock.now()
    key = runtime.settings.digest("login", login)
    most = runtime.policies.at("login-attempts", now).value
    since = now - timedelta(seconds=runtime.policies.at("login-lock", now).value)
    attempts = await lock_attempts(session, key, now)
    barred = attempts.failures >= most and attempts.failed_at > since
    if not barred:
        attempts.failures = _following(attempts.failures, attempts.failed_at, since)
        attempts.failed_at = now
    failures = attempts.failures
    account = await get_account_by_login(session, login)
    await session.flush()
    await delete_old_attempts(session, since)
    return _Attempt(
        login=key,
        account_id=account.id if account else None,
        stored=account.password_hash if account else None,
        barred=barred,
        last=not barred and failures >= most,
    )


def _following(failures: int, failed_at: datetime, since: datetime) -> int:
    return failures + 1 if failed_at > since else 1


async def _second_factor(
    session: AsyncSession, runtime: Runtime, attempt: _Attempt, code: str
) -> tuple[Account | None, int | None]:
    """Lock the account and return the code's step, None for a wrong or used one."""
    account = await lock_account(session, attempt.account_id or NO_ACCOUNT, None)
    secret, last = NO_SECRET, None
    if account and account.totp_secret:
        secret = decrypt(runtime.settings.sealing_key(), account.totp_secret, account.totp_place).decode()
        last = account.totp_step
    step = totp.accept(secret, code, runtime.clock.now(), last)
    return account, step if account and account.totp_secret else None


def _refused(attempt: _Attempt, wrong: str, origin: str) -> SignInRefused:
    """Return the refusal; the record says more than the answer."""
    if attempt.account_id is None:
        return SignInRefused()
    event = SignInFailed(
        account_id=attempt.account_id, reason=wrong, locked=attempt.last or attempt.barred, origin=origin
    )
    return SignInRefused(event=event)
