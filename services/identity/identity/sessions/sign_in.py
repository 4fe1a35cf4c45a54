"""Sign-in with both factors; every refusal has the same answer and takes the same time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from common.contracts.events.identity import SignInFailed
from common.storage.encryption import decrypt
from identity.accounts.models import Account, AccountState
from identity.accounts.queries import get_account_by_login, lock_account
from identity.credentials import totp
from identity.runtime import Runtime
from identity.sessions.problems import AccountSuspended, SignInRefused
from identity.sessions.queries import delete_attempts, delete_old_attempts, lock_attempts
from identity.sessions.service import SessionTokens, open_session
from identity.units.problems import UnitNotActive
from identity.units.queries import lock_unit_state

NO_ACCOUNT = UUID(int=0)
DUMMY_SECRET = "A" * 32
"""Second factor of an unknown login, so that the check takes as long as for a known one."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One attempt: the account of its login, and whether failures lock the login. `last`: its failure locks the login."""

    login: bytes
    account_id: UUID | None
    password_hash: str | None
    locked: bool
    last: bool


async def sign_in(runtime: Runtime, *, login: str, password: str, totp_code: str, origin: str) -> SessionTokens:
    """Open a session. Clause 7.6.

    Raises `SignInRefused` for a wrong factor or too many failures (policies `login-attempts`, `login-lock`),
    `AccountSuspended` and `UnitNotActive` only when both factors are right, `TooManyLogins`.
    """
    async with runtime.database.transaction() as session:
        attempt = await _begin(session, runtime, login)
    # Outside of any transaction, because hashing may wait in a queue.
    password_matches = await runtime.passwords.verify_password(
        None if attempt.locked else attempt.password_hash, password
    )
    new_hash = None
    if password_matches and attempt.password_hash and runtime.passwords.needs_rehash(attempt.password_hash):
        new_hash = await runtime.passwords.hash_password(password)
    async with runtime.database.transaction() as session:
        account, step = await _second_factor(session, runtime, attempt, totp_code)
        if account is None or not password_matches or step is None or account.password_hash != attempt.password_hash:
            wrong = "locked" if attempt.locked else "code" if password_matches else "password"
            raise _refused(attempt, wrong, origin)
        account.totp_step = step
        account.password_hash = new_hash or account.password_hash
        if account.state != AccountState.ACTIVE:
            raise AccountSuspended
        unit = await lock_unit_state(session, account.unit_id)
        assert unit is not None
        if not unit.active:
            raise UnitNotActive
        await delete_attempts(session, attempt.login)
        return await open_session(session, runtime, account, unit, origin=origin)


async def _begin(session: AsyncSession, runtime: Runtime, login: str) -> _Attempt:
    """Count the attempt as a failure, before its factors are checked."""
    now = runtime.clock.now()
    key = runtime.settings.digest("login", login)
    max_failures = runtime.policies.at("login-attempts", now).value
    since = now - timedelta(seconds=runtime.policies.at("login-lock", now).value)
    attempts = await lock_attempts(session, key, now)
    locked = attempts.failures >= max_failures and attempts.failed_at > since
    if not locked:
        attempts.failures = _next_failure_count(attempts.failures, attempts.failed_at, since)
        attempts.failed_at = now
    failures = attempts.failures
    account = await get_account_by_login(session, login)
    await session.flush()
    await delete_old_attempts(session, since)
    return _Attempt(
        login=key,
        account_id=account.id if account else None,
        password_hash=account.password_hash if account else None,
        locked=locked,
        last=not locked and failures >= max_failures,
    )


def _next_failure_count(failures: int, failed_at: datetime, since: datetime) -> int:
    return failures + 1 if failed_at > since else 1


async def _second_factor(
    session: AsyncSession, runtime: Runtime, attempt: _Attempt, code: str
) -> tuple[Account | None, int | None]:
    """Lock the account and return the code's step, None for a wrong or used code."""
    account = await lock_account(session, attempt.account_id or NO_ACCOUNT, None)
    secret, last = DUMMY_SECRET, None
    if account and account.totp_secret:
        secret = decrypt(runtime.settings.encryption_key(), account.totp_secret, account.totp_context).decode()
        last = account.totp_step
    step = totp.accept(secret, code, runtime.clock.now(), last)
    return account, step if account and account.totp_secret else None


def _refused(attempt: _Attempt, wrong: str, origin: str) -> SignInRefused:
    """Return the refusal; only its event contains the reason."""
    if attempt.account_id is None:
        return SignInRefused()
    event = SignInFailed(
        account_id=attempt.account_id, reason=wrong, locked=attempt.last or attempt.locked, origin=origin
    )
    return SignInRefused(event=event)
